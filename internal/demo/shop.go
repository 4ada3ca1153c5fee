package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Limits of the shop.
const (
	hopLimit  = 200 * time.Millisecond // for what a workload asks of the next one
	maxAnswer = 1 << 10
)

// providers says whom each workload asks.
var providers = map[string]string{"front": "web", "web": "api", "api": "db"}

// Workload is one workload of the shop: an HTTP server that asks its provider and adds its own name to the answer, so that
// an answer of the front is word of all four.
type Workload struct {
	Name   string
	Listen string // host:port
	// Names is a folder that stands in for DNS: each workload writes where it is in a file that has its name, and looks up
	// its provider for each request.
	Names string
}

// Run serves until ctx ends.
func (w Workload) Run(ctx context.Context) error {
	if providers[w.Name] == "" && w.Name != "db" {
		return fmt.Errorf("the shop has no workload %q", w.Name)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.Listen)
	if err != nil {
		return err
	}
	if err := w.publish(); err != nil {
		return errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.serve)
	mux.HandleFunc("GET /healthz", w.healthz)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: hopLimit}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// publish says where this workload is, all at once or not at all.
func (w Workload) publish() error {
	file := filepath.Join(w.Names, w.Name)
	fresh := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(fresh, []byte(w.Listen), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, file)
}

func (w Workload) serve(out http.ResponseWriter, r *http.Request) {
	answer := w.Name + " " + w.Listen
	if providers[w.Name] != "" {
		rest, err := w.ask(r.Context(), "/")
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadGateway)
			return
		}
		answer += "\n" + rest
	}
	_, _ = io.WriteString(out, answer) // the client may be gone
}

// healthz says whether this workload can do its work. The front is there for whoever asks, whatever is behind it.
func (w Workload) healthz(out http.ResponseWriter, r *http.Request) {
	if providers[w.Name] != "" && w.Name != "front" {
		if _, err := w.ask(r.Context(), "/healthz"); err != nil {
			http.Error(out, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	out.WriteHeader(http.StatusNoContent)
}

// ask asks the provider.
func (w Workload) ask(ctx context.Context, path string) (string, error) {
	provider := providers[w.Name]
	address, err := os.ReadFile(filepath.Join(w.Names, provider))
	if err != nil {
		return "", fmt.Errorf("%s: look up %s: %w", w.Name, provider, err)
	}
	ctx, cancel := context.WithTimeout(ctx, hopLimit)
	defer cancel()
	return get(ctx, direct, "http://"+string(address)+path)
}

// direct opens a connection for each request, so that each one finds out whether somebody is there.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get asks for a small page.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return "", err
	case response.StatusCode >= http.StatusMultipleChoices:
		return "", fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// checkAnswer makes sure that all workloads had their part in an answer of the front.
func checkAnswer(answer string) error {
	var names []string
	for line := range strings.Lines(answer) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "front web api db" {
		return fmt.Errorf("the shop answered by way of %q", got)
	}
	return nil
}
