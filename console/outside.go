package console

import (
	"maps"
	"mime"
	"net/http"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// Mount lets a handler of others answer GET on a path that the table of routes leaves to it: /healthz, /readyz or /metrics.
// It must be called before the server answers.
func (s *Server) Mount(path string, handler http.Handler) {
	mounted := maps.Clone(s.mounted)
	if mounted == nil {
		mounted = map[string]http.Handler{}
	}
	mounted[path] = handler
	s.mounted = mounted
}

func (s *Server) getMounted(w http.ResponseWriter, r *http.Request) {
	if handler := s.mounted[r.URL.Path]; handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	s.fail(w, s.monitor.Look(), noSuch("way of the API", r.Method+" "+r.URL.Path, ""))
}

// asksForStream says that a client, such as a browser's EventSource, takes a stream of events before anything else.
func asksForStream(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	mediaType, _, err := mime.ParseMediaType(first)
	return err == nil && mediaType == "text/event-stream"
}

// HostWords are all words for a host.
func HostWords() []HostWord {
	return []HostWord{
		HostUnseen, HostAlive, HostSuspect, HostLost, HostFencing, HostFenced, HostExpired, HostConfirmed, HostSilent,
		HostReturning, HostUnknown,
	}
}

// WordOfHost is the one word for a host of a look, as every screen says it.
func WordOfHost(look Look, name string, host planner.Host) HostWord {
	return word(host, heart(host, look.Picture.Hosts[name]), look.Now)
}

// WorkloadWords are all words for a workload.
func WorkloadWords() []WorkloadWord {
	return []WorkloadWord{
		WorkloadReady, WorkloadStarting, WorkloadStopping, WorkloadUnready, WorkloadDown, WorkloadUnknown, WorkloadLost,
		WorkloadHomeless, WorkloadStopped, WorkloadFound, WorkloadTwice, WorkloadIdle,
	}
}

// WordOfWorkload is the one word for a workload of a look, as every screen says it, and how many hosts it is seen running on.
func WordOfWorkload(look Look, name string, w planner.Workload) (word WorkloadWord, running int) {
	item := workloadItem(look, name, w)
	return item.Word, len(runsOn(item))
}

// EventOf is an event as the API shows it.
func EventOf(logged planner.Logged) EventItem { return eventItem(logged) }
