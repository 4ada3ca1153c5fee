package agent

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/holter-ha/holter/wire"
)

// beater sends the beats from a goroutine of its own.
type beater struct {
	bus      Bus
	subject  string
	beat     wire.Beat
	boottime func() time.Duration
	interval atomic.Int64 // nanoseconds; the loop sets it, it holds from the next beat on
}

func (b *beater) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(time.Duration(b.interval.Load()))
		b.beat.Seq++
		b.beat.Stamp = b.boottime()
		b.bus.Beat(b.subject, wire.AppendBeat(nil, &b.beat))
	}
}
