// Package quiet keeps a caller who is refused again and again from filling the log.
//
// Lines are counted by source, which is where a caller comes from: one who shouts does not hide the others. What a source is
// held back is counted and told with its next line.
//
// Invariants: at most Lines lines of one source within Window; the memory is bounded, and when there are more sources than it
// holds, the new ones share one count.
//
// Concurrency: a Limiter may be used by many goroutines.
package quiet

import (
	"sync"
	"time"
)

// The limit of one source.
const (
	Lines  = 10
	Window = 10 * time.Second
)

// maxSources is how many sources are told apart.
const maxSources = 256

// others is the source of all that are not told apart. No address is like it.
const others = "others"

// Limiter counts the lines of each source. The zero Limiter is ready.
type Limiter struct {
	mu      sync.Mutex // refusals happen in the goroutines of their connections
	sources map[string]*source
}

type source struct {
	began time.Time
	lines int // in the window
	held  int // since the last line
}

// Allow says whether a line of a source may be written, and how many of its lines were held back since the last that was.
func (l *Limiter) Allow(from string, now time.Time) (ok bool, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.source(from, now)
	if now.Sub(s.began) >= Window {
		s.began, s.lines = now, 0
	}
	if s.lines >= Lines {
		s.held++
		return false, 0
	}
	s.lines++
	held, s.held = s.held, 0
	return true, held
}

func (l *Limiter) source(from string, now time.Time) *source {
	if l.sources == nil {
		l.sources = map[string]*source{}
	}
	if s := l.sources[from]; s != nil {
		return s
	}
	if len(l.sources) >= maxSources {
		for name, s := range l.sources {
			if now.Sub(s.began) >= Window {
				delete(l.sources, name)
			}
		}
	}
	if len(l.sources) >= maxSources {
		from = others
	}
	if l.sources[from] == nil {
		l.sources[from] = &source{began: now}
	}
	return l.sources[from]
}
