package detect

import "time"

// warmup is how many beats a detector hears before anything counts: the windows of the literature are full then.
const warmup = 1000

// detector is told of beats in the order of their arrival.
type detector interface {
	observe(b beat)
	// deadline is when the host is lost if nothing more is heard of it.
	deadline() time.Duration
}

// quality is how well a detector did on a trace.
type quality struct {
	span     time.Duration // what was measured
	mistakes int           // how often a living host was held lost
	wrong    time.Duration // how long in all
	exposed  float64       // seconds in which the host might have died
	waited   float64       // seconds from the crash to its detection, summed over all those moments
	tdMax    time.Duration
}

// between is the mean time from one mistake to the next: Chen's E(T_MR).
func (q quality) between() time.Duration { return q.span / time.Duration(max(q.mistakes, 1)) }

// lasts is the mean time until a mistake is corrected: Chen's E(T_M).
func (q quality) lasts() time.Duration { return q.wrong / time.Duration(max(q.mistakes, 1)) }

// tdMean is the mean time from a crash to its detection: Chen's E(T_D).
func (q quality) tdMean() time.Duration {
	return time.Duration(q.waited / q.exposed * float64(time.Second))
}

// add counts another measurement of the same detector.
func (q *quality) add(o quality) {
	q.span += o.span
	q.mistakes += o.mistakes
	q.wrong += o.wrong
	q.exposed += o.exposed
	q.waited += o.waited
	q.tdMax = max(q.tdMax, o.tdMax)
}

// measure lets a detector hear a trace. The host dies at every moment of it: what the detector would do then is known from
// its deadline, so that the mean of the detection time is an integral and not a sample, and the maximum is that of all
// moments.
func measure(beats []beat, d detector) quality {
	var q quality
	suspected, since := false, time.Duration(0)
	for i, b := range beats {
		due := time.Duration(0)
		if i > 0 {
			due = d.deadline()
		}
		if i > warmup && !suspected && due <= b.arrived {
			q.mistakes++
			suspected, since = true, due
		}
		d.observe(b)
		due = d.deadline()
		if i < warmup {
			continue
		}
		switch {
		case suspected && due > b.arrived:
			q.wrong += b.arrived - since
			suspected = false
		case !suspected && due <= b.arrived:
			q.mistakes++
			suspected, since = true, b.arrived
		}
		q.crash(b, due)
	}
	last := beats[len(beats)-1].arrived
	if suspected {
		q.wrong += last - since
	}
	q.span = last - beats[warmup].arrived
	return q
}

// crash lets the host die at every moment at which b is the last beat heard of it.
func (q *quality) crash(b beat, due time.Duration) {
	from, until := b.from.Seconds(), b.until.Seconds()
	q.exposed += until - from
	if due <= b.from || b.from == b.until {
		return
	}
	first, last := (due - b.from).Seconds(), max(due-b.until, 0).Seconds()
	q.waited += (first*first - last*last) / 2
	q.tdMax = max(q.tdMax, due-b.from)
}

// tune finds the parameter with which a detector needs as long as asked for to detect a crash, on the mean. The more, the
// longer it takes.
func tune(beats []beat, asked time.Duration, start float64, build func(float64) detector) quality {
	const tolerance, limit = 0.0005, 40
	off := func(q quality) float64 { return (q.tdMean() - asked).Seconds() / asked.Seconds() }
	low, high := 0.0, start
	q := measure(beats, build(low))
	offLow := off(q)
	if offLow >= 0 {
		return q // it cannot be faster
	}
	q = measure(beats, build(high))
	for off(q) < 0 {
		low, offLow = high, off(q)
		high *= 2
		q = measure(beats, build(high))
	}
	offHigh := off(q)
	for range limit { // the rule of false position, Illinois variant: the mean is nearly linear
		if o := off(q); o < tolerance && o > -tolerance {
			break
		}
		at := (low*offHigh - high*offLow) / (offHigh - offLow)
		q = measure(beats, build(at))
		if o := off(q); o < 0 {
			low, offLow, offHigh = at, o, offHigh/2
		} else {
			high, offHigh, offLow = at, o, offLow/2
		}
	}
	return q
}
