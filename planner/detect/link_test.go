package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	ms = time.Millisecond

	million = 1_000_000

	seed  = 20020501         // of all traces
	began = time.Hour        // of a trace, on the monitor's clock
	boot  = 10 * time.Minute // how far the sender's clock is behind at first
	drift = -20e-6           // of the sender's clock: an ordinary quartz, slow
)

// beat is one beat that arrived. Times are of the monitor's clock, the stamp is of the sender's.
type beat struct {
	seq     uint32 // by the schedule: a beat that was skipped or lost leaves a gap
	sent    time.Duration
	stamp   time.Duration
	arrived time.Duration

	// If the host dies at a moment in [from, until), this is the last beat that is heard of it. Empty while a younger
	// beat has overtaken an older one.
	from, until time.Duration
}

// way is what happens to one beat that is due: when it is really sent, when it arrives and whether it does.
type way func(due time.Duration) (sent, arrived time.Duration, ok bool)

// link is a model of the way from a host to a monitor.
type link struct {
	name  string
	about string
	open  func(r *rand.Rand, interval time.Duration) way
}

// links are the seven models. What has a mean is exponential, what has bounds is even between them unless another law is
// named.
func links() []link {
	return []link{
		{"LAN", "0.2 ms; every 10 min on the mean all stands still for 20–800 ms (log-uniform), one time in a hundred for 1–3.5 s", lan},
		{"WAN", "TCP, 40 ms; of the segments 0.3 % are lost, 80 % in bad times (mean 1.5 s, every 15 min) and sent again after 250 ms, doubling; what follows waits", wan},
		{"UDP", "10 ms; 0.1 % are lost, 90 % in bad times (mean 0.7 s, every 60 s)", udp},
		{"pauses", "the sender stands still every 60 s on the mean, for 60 ms–6 s by Pareto's law (shape 1)", pareto},
		{"broker", "every 10 min on the mean all beats of 0.2–2.5 s are lost", broker},
		{"bufferbloat", "every 5 min on the mean a queue grows to at most 0.2–3.5 s, for 15 s on the mean; nothing is lost", bufferbloat},
		{"iid", "each beat lost with 40 %, delay 20 ms on the mean", iid},
	}
}

// trace sends n beats over a link. The same arguments give the same trace.
func (l link) trace(n int, interval time.Duration, number uint64) []beat {
	pass := l.open(rand.New(rand.NewPCG(seed, number)), interval)
	beats := make([]beat, 0, n)
	for i := range n {
		due := began + time.Duration(i)*interval
		if sent, arrived, ok := pass(due); ok {
			stamp := sent - boot + time.Duration(float64(sent-began)*drift)
			beats = append(beats, beat{seq: uint32(i + 1), sent: sent, stamp: stamp, arrived: arrived})
		}
	}
	slices.SortStableFunc(beats, func(a, b beat) int { return int(a.arrived - b.arrived) })
	next := began + time.Duration(n)*interval
	for i, b := range slices.Backward(beats) {
		beats[i].until = next
		next = min(next, b.sent)
	}
	newest := time.Duration(0)
	for i := range beats {
		newest = max(newest, beats[i].sent)
		beats[i].from = newest
		beats[i].until = max(beats[i].until, newest)
	}
	return beats
}

// episodes is a time that is good but for episodes: exponential time between them, lengths by a law.
type episodes struct {
	r        *rand.Rand
	every    time.Duration
	length   func() time.Duration
	from, to time.Duration
}

// at says whether t is in an episode, and when that ends. t never goes back.
func (e *episodes) at(t time.Duration) (end time.Duration, in bool) {
	if e.to == 0 {
		e.to = began
	}
	for t >= e.to {
		e.from = e.to + mean(e.r, e.every)
		e.to = e.from + e.length()
	}
	return e.to, t >= e.from
}

func mean(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(d))
}

func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Float64()*float64(to-from))
}

// lan holds the beats of a hiccup back until it ends.
func lan(r *rand.Rand, _ time.Duration) way {
	hiccups := episodes{r: r, every: 10 * time.Minute, length: func() time.Duration {
		if r.IntN(100) == 0 {
			return between(r, time.Second, 3500*ms)
		}
		return time.Duration(float64(20*ms) * math.Exp(r.Float64()*math.Log(40)))
	}}
	var last time.Duration
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		free := due
		if end, in := hiccups.at(due); in {
			free = end
		}
		last = max(last, free+200*time.Microsecond+mean(r, 100*time.Microsecond))
		return due, last, true
	}
}

// wan loses nothing, but a beat waits for all that were sent before it.
func wan(r *rand.Rand, _ time.Duration) way {
	const retransmit, longest = 250 * ms, 8 * time.Second
	bad := episodes{r: r, every: 15 * time.Minute, length: func() time.Duration { return mean(r, 1500*ms) }}
	var free, last time.Duration
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		at := max(due, free)
		for wait := retransmit; ; wait = min(2*wait, longest) {
			loss := 0.003
			if _, in := bad.at(at); in {
				loss = 0.8
			}
			if r.Float64() >= loss {
				break
			}
			at += wait
		}
		free = at
		last = max(last, at+40*ms+time.Duration(math.Abs(r.NormFloat64())*float64(3*ms)))
		return due, last, true
	}
}

// udp is Gilbert's and Elliott's channel.
func udp(r *rand.Rand, _ time.Duration) way {
	bad := episodes{r: r, every: time.Minute, length: func() time.Duration { return mean(r, 700*ms) }}
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		loss := 0.001
		if _, in := bad.at(due); in {
			loss = 0.9
		}
		return due, due + 10*ms + mean(r, 2*ms), r.Float64() >= loss
	}
}

// pareto stamps the beat of a pause when the pause is over; the beats that were due before it are skipped.
func pareto(r *rand.Rand, interval time.Duration) way {
	const shortest, longest = 60 * ms, 6 * time.Second
	pauses := episodes{r: r, every: time.Minute, length: func() time.Duration {
		return time.Duration(float64(shortest) / (1 - r.Float64()*(1-float64(shortest)/float64(longest))))
	}}
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		sent := due
		if end, in := pauses.at(due); in {
			sent = end
		}
		return sent, sent + ms + mean(r, ms), sent < due+interval
	}
}

func broker(r *rand.Rand, _ time.Duration) way {
	outages := episodes{r: r, every: 10 * time.Minute, length: func() time.Duration { return between(r, 200*ms, 2500*ms) }}
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		_, out := outages.at(due)
		return due, due + ms + mean(r, ms), !out
	}
}

// bufferbloat is a queue that grows by up to 2 s a second while there is load, and then drains.
func bufferbloat(r *rand.Rand, interval time.Duration) way {
	var depth, queue, last time.Duration
	var rise float64
	load := episodes{r: r, every: 5 * time.Minute, length: func() time.Duration {
		depth, rise = between(r, 200*ms, 3500*ms), 0.2+1.8*r.Float64()
		return mean(r, 15*time.Second)
	}}
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		if _, in := load.at(due); in {
			queue = min(queue+time.Duration(rise*float64(interval)), max(depth, queue))
		} else {
			queue = max(queue-interval, 0)
		}
		last = max(last, due+15*ms+queue+mean(r, 2*ms))
		return due, last, true
	}
}

func iid(r *rand.Rand, _ time.Duration) way {
	return lossy(r, 0.4, 20*ms)
}

// lossy loses each beat with the same chance and delays it exponentially.
func lossy(r *rand.Rand, loss float64, delay time.Duration) way {
	return func(due time.Duration) (time.Duration, time.Duration, bool) {
		return due, due + mean(r, delay), r.Float64() >= loss
	}
}
