package agent

import (
	"fmt"
	"sync/atomic"
)

// authority answers one question in one place: may I act under this epoch now? It is asked when a command arrives, when
// its turn comes, and right before the world is touched. A lease is one more condition of may.
type authority struct {
	inc   uint64
	epoch atomic.Uint64 // 0: not joined. Written by the loop, read by those who do commands
}

func (a *authority) joined() bool { return a.epoch.Load() != 0 }

// may returns why nothing may be done in the name of an incarnation and a host epoch, nil if it may.
func (a *authority) may(inc, epoch uint64) error {
	now := a.epoch.Load()
	switch {
	case inc != a.inc:
		return fmt.Errorf("meant for another incarnation of the agent: %016x, this is %016x", inc, a.inc)
	case now == 0:
		return fmt.Errorf("the host is not joined")
	case epoch != now:
		return fmt.Errorf("meant for host epoch %d, this is %d", epoch, now)
	}
	return nil
}
