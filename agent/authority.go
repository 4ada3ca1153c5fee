package agent

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// authority answers one question in one place: may I act on this command now? It is asked when a command arrives, when its
// turn comes, and right before the world is touched.
type authority struct {
	inc    uint64
	epoch  atomic.Uint64 // 0: not joined. Written by the loop, read by those who do commands
	tenure func() tenure
}

// errNotYet says that nobody has confirmed the lease of an epoch that was taken a moment ago: the monitors send the command
// again, and then it may be done.
var errNotYet = errors.New("no majority of the monitors has confirmed this host's lease yet")

func (au *authority) joined() bool { return au.epoch.Load() != 0 }

// may returns why a command may not be done, nil if it may: it must be meant for this incarnation and host epoch, and the
// lease must be confirmed under that epoch and not have ended. Only a stop needs no lease: it brings nothing into the world,
// and a host whose guard is away, so that its lease is not renewed, must still be able to hand over what it runs.
func (au *authority) may(c wire.Command) error {
	epoch := au.epoch.Load()
	switch {
	case c.Inc != au.inc:
		return fmt.Errorf("meant for another incarnation of the agent: %016x, this is %016x", c.Inc, au.inc)
	case epoch == 0:
		return fmt.Errorf("the host is not joined")
	case c.Epoch != epoch:
		return fmt.Errorf("meant for host epoch %d, this is %d", c.Epoch, epoch)
	case c.Action.Verb == actions.Stop:
		return nil
	}
	t := au.tenure()
	switch {
	case !t.confirmed:
		return errNotYet
	case t.phase == lease.Over:
		return fmt.Errorf("the lease of this host ended %s ago", t.at-t.until)
	case t.phase == lease.Ending && c.Exclusive:
		return fmt.Errorf("the lease of this host ends in %s", t.until-t.at)
	}
	return nil
}
