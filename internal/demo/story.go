package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holter-ha/holter/console"
)

// mark is the icon of a line and its colour.
type mark struct{ icon, color string }

var (
	markPlain = mark{" ", ""}
	markOK    = mark{"✓", "32"}
	markBad   = mark{"✕", "31"}
	markWarn  = mark{"◐", "33"}
	markStep  = mark{"▶", "36"}
	markDeed  = mark{"■", "1"}
)

// story tells what happens, a line each: the time since the demo began, the time since the last deed of the user, and what.
type story struct {
	out    io.Writer
	colors bool
	began  time.Time
	deed   time.Time         // zero: none yet
	where  map[string]string // by run and step: the host where it is done
}

// tell writes a line about a moment.
func (s *story) tell(at time.Time, m mark, format string, args ...any) {
	since := ""
	if !s.deed.IsZero() {
		since = fmt.Sprintf("%+.2fs", at.Sub(s.deed).Seconds())
	}
	s.say("%s  %s %s", s.paint("2", fmt.Sprintf("%8.2fs %8s", at.Sub(s.began).Seconds(), since)),
		s.paint(m.color, m.icon), fmt.Sprintf(format, args...))
}

// tellDeed writes what the user has done. Times are counted from it now.
func (s *story) tellDeed(at time.Time, format string, args ...any) {
	s.deed = at
	s.say("")
	s.tell(at, markDeed, "%s", s.paint("1", fmt.Sprintf(format, args...)))
}

// say writes a line that is not about a moment. The demo goes on when nobody reads it any more.
func (s *story) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

func (s *story) paint(color, text string) string {
	if !s.colors || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// tellEvent writes an event of the log. A step is told when it has ended: one line, not two.
func (s *story) tellEvent(at time.Time, e console.EventItem) {
	text := strings.TrimSuffix(e.Text, fmt.Sprintf(": %q", e.Reason))
	switch e.Name {
	case "step.started":
		s.where[e.Subject] = e.Host
	case "step.finished":
		m := markOK
		if e.Outcome != "done" {
			m = markBad
		}
		subject := e.Subject
		if host := s.where[subject]; host != "" && !strings.HasSuffix(subject, "/"+host) {
			subject += " on " + host
		}
		s.tell(at, m, "%s: %s", subject, text)
	case "run.started":
		s.tell(at, markStep, "%s begins: %s", e.Subject, text)
	case "run.ended":
		m := markOK
		if e.Outcome != "succeeded" {
			m = markBad
		}
		s.tell(at, m, "%s %s", e.Subject, text)
	case "host.lost":
		s.tell(at, markBad, "%s is lost: %s", e.Subject, text)
	case "host.expired":
		s.tell(at, markOK, "%s %s: %s", e.Subject, text, e.Reason)
	case "join.offered": // host.joined follows
	case "host.joined":
		s.tell(at, markOK, "%s is back, %s", e.Subject, text)
	default:
		s.tell(at, markPlain, "%s %s", e.Subject, e.Text)
	}
}

// tellOutage writes what the client saw.
func (s *story) tellOutage(o outage) {
	requests := "requests"
	if o.lost == 1 {
		requests = "request"
	}
	s.tell(o.to, markOK, "%s", s.paint("1", fmt.Sprintf("the shop answers again: outage seen by the client %.2f s (%d %s lost)", o.lasted().Seconds(), o.lost, requests)))
}
