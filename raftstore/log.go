package raftstore

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// repeatAfter is how often one line about one peer is logged: raft repeats some several times a second.
const (
	repeatAfter = 10 * time.Second
	maxRepeats  = 256
)

// raftLogger is the logger that raft wants.
type raftLogger = hclog.Logger

// newRaftLog makes raft write to log. Raft cannot know whether someone must act, so its errors are warnings here and its
// infos, which tell each step of an election, are for debugging.
func newRaftLog(log zerolog.Logger) raftLogger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	logger.RegisterSink(&logSink{log: log.With().Str("component", "raft").Logger(), last: map[string]time.Time{}})
	return logger
}

type logSink struct {
	log  zerolog.Logger
	mu   sync.Mutex // raft logs from all its goroutines
	last map[string]time.Time
}

// Accept implements hclog.SinkAdapter.
func (s *logSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	var event *zerolog.Event
	switch level {
	case hclog.Error:
		event = s.log.Warn()
	case hclog.Warn:
		event = s.log.Info()
	case hclog.Info:
		event = s.log.Debug()
	case hclog.NoLevel, hclog.Trace, hclog.Debug, hclog.Off:
		return
	}
	key := msg
	for i := 0; i+1 < len(args); i += 2 {
		name := fmt.Sprint(args[i])
		value := args[i+1]
		if format, ok := value.(hclog.Format); ok {
			value = fmt.Sprintf(format[0].(string), format[1:]...)
		}
		if name == "error" {
			name = "err"
		}
		if name == "peer" {
			key += fmt.Sprint(value)
		}
		event = event.Str(name, fmt.Sprint(value))
	}
	if level == hclog.Info || s.fresh(key, time.Now()) {
		event.Msg(msg)
	}
}

// fresh says that a line was not logged a moment ago.
func (s *logSink) fresh(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last[key]) < repeatAfter {
		return false
	}
	if len(s.last) >= maxRepeats {
		clear(s.last)
	}
	s.last[key] = now
	return true
}
