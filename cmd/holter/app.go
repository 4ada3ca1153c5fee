package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/holter-ha/holter/console"
)

// app is what every verb shares: where it reads and writes, and the global flags.
type app struct {
	in     io.Reader
	raw    io.Writer // stdout as it is
	out    io.Writer // data
	talk   io.Writer // everything else
	inTTY  bool
	outTTY bool
	env    func(string) string
	user   string
	now    func() time.Time
	flags  globals
	style  style

	options console.ClientOptions // who asks
	known   []string              // servers that the identity directory names
}

// globals are the flags of every verb.
type globals struct {
	servers []string
	// identity is a directory with a certificate and whom to trust; socket that of a monitor on this machine.
	identity, socket string
	output           string
	reason           string
	color            string
	noColor          bool
	ascii            bool
	quiet            bool
	stale            bool
	yes              bool
	timeout          time.Duration
}

// The output formats.
const (
	outTable = "table"
	outJSON  = "json"
	outJSONL = "jsonl"
	outName  = "name"
)

// The defaults of the global flags.
const (
	defaultServer  = "http://127.0.0.1:7470"
	defaultTimeout = 30 * time.Second
)

func newApp() *app {
	a := &app{
		in: os.Stdin, raw: os.Stdout, out: os.Stdout, talk: os.Stderr, env: os.Getenv, now: time.Now,
		inTTY: term.IsTerminal(int(os.Stdin.Fd())), outTTY: term.IsTerminal(int(os.Stdout.Fd())),
	}
	if u, err := user.Current(); err == nil {
		a.user = u.Username
	}
	return a
}

// execute runs one command line and returns its exit code.
func (a *app) execute(ctx context.Context, args []string) console.Exit {
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.talk)
	ran, err := root.ExecuteContextC(ctx)
	return a.report(ctx, ran, err)
}

// settle checks the global flags once they are parsed, before the verb runs.
func (a *app) settle() error {
	if !slices.Contains([]string{outTable, outJSON, outJSONL, outName}, a.flags.output) {
		return usage("--output is %q; it can be table, json, jsonl or name", a.flags.output)
	}
	if !slices.Contains([]string{"auto", "always", "never"}, a.flags.color) {
		return usage("--color is %q; it can be auto, always or never", a.flags.color)
	}
	if a.flags.timeout <= 0 {
		return usage("--timeout is %s; it must be longer than nothing", a.flags.timeout)
	}
	if err := a.settleIdentity(); err != nil {
		return err
	}
	if a.plainText() {
		a.talk = asciiWriter{a.talk}
		if a.flags.output == outTable {
			a.out = asciiWriter{a.raw}
		}
	}
	a.style = style{color: a.colored()}
	return nil
}

func (a *app) colored() bool {
	switch {
	case a.flags.noColor || a.flags.color == "never":
		return false
	case a.flags.color == "always" || a.env("CLICOLOR_FORCE") != "":
		return true
	}
	return a.outTTY && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}

// plainText says that the terminal cannot show more than ASCII.
func (a *app) plainText() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(a.env(name)); locale != "" {
			return a.flags.ascii || !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8")
		}
	}
	return true
}

// servers are the monitors to ask.
func (a *app) servers() []string {
	if len(a.flags.servers) > 0 {
		return a.flags.servers
	}
	if named := a.env("HOLTER_SERVER"); named != "" {
		return strings.Split(named, ",")
	}
	if len(a.known) > 0 {
		return a.known
	}
	return []string{defaultServer}
}

func (a *app) client() *console.Client {
	return console.NewClient(a.servers(), a.options)
}

// staleOptions are for asking one monitor what it last knew.
func (a *app) staleOptions() console.ClientOptions {
	options := a.options
	options.Stale = true
	return options
}

// asking bounds one exchange with the monitors.
func (a *app) asking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.flags.timeout)
}

// say writes a line of talk, unless --quiet.
func (a *app) say(format string, args ...any) {
	if !a.flags.quiet {
		fmt.Fprintf(a.talk, format+"\n", args...)
	}
}

// printf writes data.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// asJSON says that the output is for programs.
func (a *app) asJSON() bool { return a.flags.output == outJSON || a.flags.output == outJSONL }

// printDoc writes one answer for programs.
func (a *app) printDoc(doc any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	if a.flags.output == outJSON {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(doc)
}

// printList writes a list for programs, or its names; false: it is to be shown as a table.
func printList[T any](a *app, list console.List[T], name func(T) string) (bool, error) {
	switch a.flags.output {
	case outJSON:
		return true, a.printDoc(list)
	case outJSONL:
		for _, item := range list.Items {
			if err := a.printDoc(item); err != nil {
				return true, err
			}
		}
		return true, nil
	case outName:
		for _, item := range list.Items {
			a.printf("%s\n", name(item))
		}
		return true, nil
	}
	return false, nil
}

// ask asks the person at the terminal for one line. Without a terminal the answer is a usage error that names the flag.
func (a *app) ask(question, flag string) (string, error) {
	if !a.inTTY {
		return "", usage("this asks a question and there is no terminal; nothing was changed; answer it with %s", flag)
	}
	fmt.Fprint(a.talk, question)
	var answer []byte
	for one := make([]byte, 1); len(answer) < maxAnswer; {
		n, _ := a.in.Read(one) // an end and a failure end the answer alike
		if n == 0 || one[0] == '\n' {
			break
		}
		answer = append(answer, one[0])
	}
	return strings.TrimSpace(string(answer)), nil
}

// maxAnswer is the length of the longest answer that is read.
const maxAnswer = 256

// buildVersion is the version of this program as the Go tool recorded it.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return strings.Trim(info.Main.Version, "()")
}
