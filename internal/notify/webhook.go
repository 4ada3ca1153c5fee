package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The headers of a request beside the usual ones.
const (
	SignatureHeader = "Holter-Signature" // t=SECONDS,v1=HEX
	KeyHeader       = "Idempotency-Key"  // cluster id, a minus, the event's index: the same each time the event is told
)

const maxAnswer = 64 << 10 // bytes of an answer that are read, to use the connection again

// webhook posts events to a URL.
type webhook struct {
	config Webhook
	client *http.Client
}

func newWebhook(config Webhook) (send, error) {
	if _, err := config.secret(); err != nil {
		return nil, err
	}
	roots, err := config.roots()
	if err != nil {
		return nil, err
	}
	w := webhook{config: config, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswer, ForceAttemptHTTP2: true,
		},
	}}
	return w.send, nil
}

// send posts one event. What the receiver answers is not shown: it may hold anything.
func (w webhook) send(ctx context.Context, m Message) error {
	body, err := encode(m, 0)
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("make the request: the URL is not one") // the error holds it
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "holter")
	request.Header.Set(KeyHeader, m.ClusterID+"-"+strconv.FormatUint(m.Item.Index, 10))
	secret, err := w.config.secret() // anew, so that it can be changed while the monitor runs
	if err != nil {
		return err
	}
	if secret != nil {
		request.Header.Set(SignatureHeader, Sign(secret, time.Now(), body))
	}
	response, err := w.client.Do(request)
	if err != nil {
		return fmt.Errorf("post the event: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	return judge(response.StatusCode)
}

// judge says what an answer means.
func judge(code int) error {
	switch {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("the receiver answered %d, and redirects are not followed: %w", code, errForGood)
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("the receiver answered %d", code)
	}
	return fmt.Errorf("the receiver answered %d: %w", code, errForGood)
}

// withoutURL takes the URL out of an error of the HTTP client.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// Sign makes the signature of a body at a moment: HMAC-SHA256 by the secret over the seconds since 1970, a full stop and the
// body.
func Sign(secret []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac(secret, seconds, body))
}

func mac(secret []byte, seconds string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(seconds + ".")) // it never fails
	_, _ = h.Write(body)
	return h.Sum(nil)
}

// Verify says whether a signature is that of the body, and no further from now than the tolerance: what a receiver does.
func Verify(secret []byte, signature string, body []byte, now time.Time, tolerance time.Duration) error {
	fields := map[string]string{}
	for field := range strings.SplitSeq(signature, ",") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	seconds, err := strconv.ParseInt(fields["t"], 10, 64)
	if err != nil {
		return errors.New("the signature has no time")
	}
	given, err := hex.DecodeString(fields["v1"])
	if err != nil || !hmac.Equal(given, mac(secret, fields["t"], body)) {
		return errors.New("the signature is not that of this body")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return fmt.Errorf("the signature was made %v ago", age)
	}
	return nil
}
