package bus

import (
	"fmt"
	"sync"

	"github.com/rs/zerolog"
)

// serverLog writes the nats-server's log lines, and remembers the one that says why it cannot go on. Its errors are warnings
// here: it reports as an error what heals by itself, such as a route to a monitor that is not up yet.
type serverLog struct {
	log zerolog.Logger

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
	l.log.WithLevel(level).Str("line", fmt.Sprintf(format, v...)).Msg("nats server reported")
}

// fatal is why the server cannot go on; empty if it can.
func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
