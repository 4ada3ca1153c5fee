package bus

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/internal/quiet"
)

// maxLine is how much of a line of the nats-server is kept: a stranger writes part of it.
const maxLine = 1024

// serverLog writes the nats-server's log lines, and remembers the one that says why it cannot go on. Its errors are warnings
// here: it reports as an error what heals by itself, such as a route to a monitor that is not up yet.
type serverLog struct {
	log zerolog.Logger
	// holderOf, of a server that knows its clients, is whose certificate a client came in with. Lines about clients say so and
	// are limited then.
	holderOf func(client uint64) identity.ID
	limit    quiet.Limiter

	mu   sync.Mutex // the server's goroutines write as they please
	last string
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(zerolog.DebugLevel, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.write(zerolog.WarnLevel, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.write(zerolog.WarnLevel, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.write(zerolog.DebugLevel, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.write(zerolog.TraceLevel, format, v) }

func (l *serverLog) Fatalf(format string, v ...any) {
	l.write(zerolog.ErrorLevel, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = fmt.Sprintf(format, v...)
}

func (l *serverLog) write(level zerolog.Level, format string, v []any) {
	line := fmt.Sprintf(format, v...)
	if l.holderOf != nil {
		l.writeKnowing(level, line)
		return
	}
	l.log.WithLevel(level).Str("line", line).Msg("nats server reported")
}

// aboutClient begins a line about a client or another server: where it comes from, and its number if it is a client.
var aboutClient = regexp.MustCompile(`^(\S+:\d+) - (?:cid:(\d+)|rid:)`)

// writeKnowing writes a line with whose certificate the client has, unless its address has had too many.
func (l *serverLog) writeKnowing(level zerolog.Level, line string) {
	if len(line) > maxLine {
		line = line[:maxLine] + "…"
	}
	var held int
	var holder identity.ID
	if about := aboutClient.FindStringSubmatch(line); about != nil && level >= zerolog.WarnLevel {
		var ok bool
		if ok, held = l.limit.Allow(source(about[1]), time.Now()); !ok {
			return
		}
		id, _ := strconv.ParseUint(about[2], 10, 64) // empty for another server: no client has 0
		holder = l.holderOf(id)
	}
	l.log.WithLevel(level).Func(counted(held)).Func(func(event *zerolog.Event) {
		if holder.Name != "" {
			event.Str("certificate", holder.String())
		}
	}).Str("line", line).Msg("nats server reported")
}

// refused writes why a caller was not let in, or not kept.
func (l *serverLog) refused(message string, who caller, err error) {
	if ok, held := l.limit.Allow(source(who.address), time.Now()); ok {
		l.log.Warn().Func(who.describe).Func(counted(held)).Err(err).Msg(message)
	}
}

// counted says how many lines were held back before one.
func counted(held int) func(*zerolog.Event) {
	return func(event *zerolog.Event) {
		if held > 0 {
			event.Int("held_back", held)
		}
	}
}

// fatal is why the server cannot go on; empty if it can.
func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
