package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/holter-ha/holter/planner"
)

// pingEvery is how often a quiet stream shows that it is alive.
const pingEvery = 15 * time.Second

// Gap tells the reader of a stream that events were forgotten before it asked for them.
type Gap struct {
	After  uint64 `json:"after"`  // what was asked for
	Oldest uint64 `json:"oldest"` // the oldest event that is kept
}

// stream sends the events after an index as they come: text/event-stream, the id is the index. The state holds the events,
// so a slow reader costs no memory; one that does not take what is new within answerTimeout is dropped and may resume.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	look := s.monitor.Look()
	after, err := resumeAt(look.State, r)
	if err != nil {
		s.fail(w, look, err)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		s.fail(w, look, &APIError{
			Code: CodeTooMany, Exit: ExitFailed, Message: fmt.Sprintf("%s has %d open streams already", look.Self, maxStreams),
			Hint: "ask another monitor", status: http.StatusServiceUnavailable,
		})
		return
	}
	changed, stop := s.monitor.Watch()
	defer stop()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	out := sse{w: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // else the server's ReadTimeout ends the stream
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out.begin()
	out.gap(s.monitor.Look().State, after)
	for {
		look := s.monitor.Look()
		if reason := s.cut(look, r); reason != "" {
			s.logRefused(r, callerOf(r).by, "the stream is cut: "+reason)
			return
		}
		for _, logged := range eventsAfter(look.State, after) {
			out.event(logged)
			after = logged.Index
		}
		if !out.flush() {
			return
		}
		select {
		case <-changed:
			out.begin()
		case <-ping.C:
			out.begin()
			out.ping()
		case <-r.Context().Done():
			return
		}
	}
}

// cut says why a caller may not go on reading, empty if nothing has changed: what let the caller in may be revoked since.
func (s *Server) cut(look Look, r *http.Request) string {
	c, reason := s.identify(look, r)
	if c.by == "" {
		return reason
	}
	if err := s.may(look, c, planner.Viewer, nil); err != nil {
		return err.Error()
	}
	return ""
}

// resumeAt is where a stream begins: after the last event that the reader had, or after the newest one.
func resumeAt(s *planner.State, r *http.Request) (uint64, error) {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return 0, badRequest("Last-Event-ID %q is not a number", last)
		}
		return after, nil
	}
	after, given, err := number(r, "after")
	if err != nil || given {
		return after, err
	}
	return s.Index, nil
}

// sse writes an event stream. After the first error it writes nothing more.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// begin gives the reader time for what is written until the next flush.
func (o *sse) begin() { _ = o.control.SetWriteDeadline(time.Now().Add(answerTimeout)) }

func (o *sse) event(logged planner.Logged) {
	o.printf("id: %d\nevent: event\ndata: %s\n\n", logged.Index, mustJSON(eventItem(logged)))
}

func (o *sse) ping() { o.printf(": ping\n\n") }

// gap says so when events between after and the oldest one kept may have been forgotten.
func (o *sse) gap(s *planner.State, after uint64) {
	for _, oldest := range s.Events.All() {
		if _, complete := oldest.Entry.Event.(planner.ClusterFormed); !complete && after > 0 && after < oldest.Index {
			o.printf("event: gap\ndata: %s\n\n", mustJSON(Gap{After: after, Oldest: oldest.Index}))
		}
		return
	}
}

func (o *sse) printf(format string, args ...any) {
	if o.err == nil {
		_, o.err = fmt.Fprintf(o.w, format, args...)
	}
}

func (o *sse) flush() bool {
	if o.err == nil {
		o.err = o.control.Flush()
	}
	return o.err == nil
}

// mustJSON encodes what this package declared itself.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
