package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"mime"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Limits of the server.
const (
	maxBody        = 8 << 20
	maxHeader      = 64 << 10
	maxStreams     = 128
	headerTimeout  = 5 * time.Second
	readTimeout    = 30 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = 30 * time.Second // to write an answer; of a stream, to write what is new
	idleTimeout    = 2 * time.Minute
	stopTimeout    = 2 * time.Second
)

// Server answers the HTTP API of one monitor.
type Server struct {
	monitor Monitor
	log     zerolog.Logger
	handler http.Handler
	streams chan struct{} // one token for each open stream

	security *Security // nil: nobody is asked who they are
	limits   *limits
	peer     *http.Transport // to another monitor; nil without security
	mounted  map[string]http.Handler
}

// NewServer makes the API of a monitor of a cluster that asks nobody who they are: for loopback addresses only.
func NewServer(m Monitor, log zerolog.Logger) *Server { return newServer(m, log, nil) }

// NewSecureServer makes the API of a monitor where everybody must prove who they are. Its listeners must be secured by
// identity.Party.ServerToAnyone, or be unix sockets.
func NewSecureServer(m Monitor, log zerolog.Logger, security Security) *Server {
	return newServer(m, log, &security)
}

func newServer(m Monitor, log zerolog.Logger, security *Security) *Server {
	s := &Server{
		monitor: m, log: log.With().Str("component", "console").Logger(), streams: make(chan struct{}, maxStreams),
		security: security, limits: newLimits(security != nil),
	}
	if security != nil {
		s.peer = &http.Transport{
			DialContext: dial(""), TLSClientConfig: security.Peer, ResponseHeaderTimeout: firstByte, IdleConnTimeout: idleTimeout,
			MaxIdleConnsPerHost: 8,
		}
	}
	s.handler = guarded(s.mux())
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on the listener, which it closes, until ctx ends. Then streams end at once and other requests within two
// seconds.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx }, ConnContext: withPeer, ErrorLog: log.New(s.log, "", 0),
	}
	var stopping sync.WaitGroup
	serving, served := context.WithCancel(ctx)
	stopping.Go(func() {
		<-serving.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	served()
	stopping.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the API on %s: %w", listener.Addr(), err)
}

// mux routes. Reads answer the present, so they are the leader's, unless the client says ?stale=1; the stream of events is
// the same on every monitor, if a little late, and outlives a leader.
func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, s.admit(r.role, r.handler))
	}
	mux.HandleFunc("/", s.admit(anybody, func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, s.monitor.Look(), noSuch("way of the API", r.Method+" "+r.URL.Path, ""))
	}))
	return mux
}

// answerer makes the answer to a request: a List or a Doc.
type answerer func(look Look, r *http.Request) (any, error)

// present answers a read.
func (s *Server) present(answer answerer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		look := s.monitor.Look()
		if !look.Leading && r.URL.Query().Get("stale") != "1" {
			s.forward(w, r, look)
			return
		}
		body, err := answer(look, r)
		if err != nil {
			s.fail(w, look, err)
			return
		}
		s.write(w, http.StatusOK, body)
	}
}

// change answers a request that may change something. Only the leader does.
func (s *Server) change(answer answerer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		look := s.monitor.Look()
		if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
			e := badRequest("the body must be application/json; nothing was changed")
			e.status = http.StatusUnsupportedMediaType
			s.fail(w, look, e)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if !look.Leading {
			s.forward(w, r, look)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		body, err := answer(look, r.WithContext(ctx))
		if err != nil {
			s.fail(w, s.monitor.Look(), err)
			return
		}
		s.write(w, http.StatusOK, body)
	}
}

// read decodes the body of a request strictly.
func read(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &APIError{
			Code: CodeTooLarge, Exit: ExitInvalid, Message: fmt.Sprintf("the request is larger than %d MiB; nothing was changed", maxBody>>20),
			status: http.StatusRequestEntityTooLarge,
		}
	}
	if err != nil {
		return badRequest("read the request: %v; nothing was changed", err)
	}
	if decoder.More() {
		return badRequest("the request holds more than one value; nothing was changed")
	}
	return nil
}

func (s *Server) fail(w http.ResponseWriter, look Look, err error) {
	e := asAPIError(look, err)
	if e.Code == CodeInternal {
		s.log.Error().Err(err).Msg("request failed")
	}
	s.write(w, e.status, errorBody{e})
}

// write sends an answer. A client that is gone is nobody's error.
func (s *Server) write(w http.ResponseWriter, code int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		s.log.Error().Err(err).Msg("answer not encoded")
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n'))
}

func meta(look Look, kind string) Meta {
	return Meta{APIVersion: APIVersion, Kind: kind, Index: look.State.Index, AgeMs: ageMs(look.LeaderContact)}
}

func list[T any](look Look, kind string, items []T) List[T] {
	return List[T]{meta(look, kind), some(items)}
}

func doc[T any](look Look, kind string, item T) Doc[T] { return Doc[T]{meta(look, kind), item} }
