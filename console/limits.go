package console

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits of callers.
const (
	failEvery   = time.Second // a refused request of one address, after failBurst
	failBurst   = 20
	changeEvery = 100 * time.Millisecond // a change by one caller, after changeBurst
	changeBurst = 100
	logEvery    = 100 * time.Millisecond // a logged refusal, after logBurst
	logBurst    = 100
	maxBuckets  = 4096
)

// limits slow callers down. In a server that asks nobody who they are they hold nobody up.
type limits struct {
	log     *rate.Limiter
	fails   buckets
	changes buckets
	on      bool
}

func newLimits(on bool) *limits {
	return &limits{
		on: on, log: rate.NewLimiter(rate.Every(logEvery), logBurst),
		fails: buckets{every: failEvery, burst: failBurst}, changes: buckets{every: changeEvery, burst: changeBurst},
	}
}

func (l *limits) mayFail(remote string) bool {
	return !l.on || !l.fails.empty(network(remote))
}

func (l *limits) failed(remote string) { l.fails.take(network(remote)) }

func (l *limits) mayChange(c caller) bool {
	key := c.by
	if key == "" {
		key = c.from
	}
	return !l.on || l.changes.take(key)
}

// network is what one caller can hardly have many of: an IPv4 address, or the /64 of an IPv6 address.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Unmap().Is4() {
		return host
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}

// buckets are token buckets by key, at most maxBuckets. The mutex is held for a look at a map; any request may come in.
type buckets struct {
	every time.Duration
	burst int
	mu    sync.Mutex
	of    map[string]*rate.Limiter
}

func (b *buckets) take(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter, ok := b.of[key]
	if !ok {
		if b.of == nil {
			b.of = map[string]*rate.Limiter{}
		}
		if len(b.of) >= maxBuckets {
			b.evict()
		}
		limiter = rate.NewLimiter(rate.Every(b.every), b.burst)
		b.of[key] = limiter
	}
	return limiter.Allow()
}

func (b *buckets) empty(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter, ok := b.of[key]
	return ok && limiter.Tokens() < 1
}

// evict forgets who has not been heard of for long, or else anybody.
func (b *buckets) evict() {
	for key, limiter := range b.of {
		if limiter.Tokens() >= float64(b.burst) {
			delete(b.of, key)
		}
	}
	for key := range b.of {
		if len(b.of) < maxBuckets {
			return
		}
		delete(b.of, key)
	}
}
