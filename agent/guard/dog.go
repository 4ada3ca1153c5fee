package guard

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/holter-ha/holter/lease"
)

// DefaultDevice is the machine's first watchdog.
const DefaultDevice = "/dev/watchdog"

// Times of the watchdog.
const (
	openEvery  = time.Second // between two tries to open it
	petsInTime = 4           // pets within one timeout
)

// Device is a machine's watchdog, open and hence counting: it resets the machine when it was not petted for its timeout.
type Device interface {
	// SetTimeout asks for a timeout and returns the one that the device took.
	SetTimeout(d time.Duration) (time.Duration, error)
	Pet() error
	// Stoppable says whether Stop ends the counting. Some machines do not allow it.
	Stoppable() bool
	Stop() error
	// Leave closes the device and lets it count on.
	Leave() error
}

// errNoDevice says that there is no way to open a watchdog.
var errNoDevice = errors.New("this guard was given no watchdog")

// dog looks after the watchdog. A device that cannot be used with the timeout that was ordered is trouble; then the agent
// starts nothing.
type dog struct {
	open     func() (Device, error)
	boottime func() time.Duration

	dev     Device        // nil: not open
	ordered time.Duration // the timeout that dev was asked for, 0: none yet
	timeout time.Duration // the one it took
	petted  time.Duration // boot time of the last pet
	opened  time.Duration // boot time of the last try to arm it
	proven  bool          // it could be opened and set; what a former guard may have left counting is stopped
	armed   bool
	unset   string // why it could not be armed, "" if it could
	unpet   string // why it could not be petted or stopped, "" if it could
}

func (d *dog) trouble() string { return cmp.Or(d.unset, d.unpet) }

// tend does what the orders want of the watchdog now. It is armed for charges only. For a host without any it is opened once,
// to see that it would work and to stop what a guard before this one may have left counting.
func (d *dog) tend(o *Orders) {
	d.armed = false
	switch {
	case o == nil || o.Self != lease.Watchdog:
		d.unset, d.proven = "", false
		d.letGo()
	case len(o.Charges) == 0:
		if !d.proven {
			d.arm(o.Watchdog)
		}
		d.letGo()
	case d.boottime() >= o.Until: // to open it would count as a pet
	default:
		if d.dev == nil || d.ordered != o.Watchdog {
			d.arm(o.Watchdog)
		}
		d.pet(o.Until)
		d.armed = d.dev != nil && d.trouble() == ""
	}
}

// arm opens the device and sets the timeout. After a failure it waits before it tries again.
func (d *dog) arm(timeout time.Duration) {
	now := d.boottime()
	if d.unset != "" && now-d.opened < openEvery {
		return
	}
	d.opened = now
	err := d.prepare(timeout)
	d.unset, d.proven = "", err == nil
	if err != nil {
		d.unset = fmt.Sprintf("watchdog: %v", err)
	}
}

func (d *dog) prepare(timeout time.Duration) error {
	if d.dev == nil {
		if d.open == nil {
			return errNoDevice
		}
		dev, err := d.open()
		if err != nil {
			return err
		}
		d.dev, d.ordered, d.timeout, d.petted = dev, 0, 0, d.boottime()
	}
	took, err := d.dev.SetTimeout(timeout)
	if took > 0 {
		d.timeout = took
	}
	switch {
	case err != nil:
		return fmt.Errorf("set its timeout to %s: %w", timeout, err)
	case took > timeout:
		return fmt.Errorf("it takes no timeout of %s, but %s: set the lease's watchdog to that or more", timeout, took)
	}
	d.ordered = timeout
	return nil
}

// pet pets the device if it is time to and the lease has not ended; until 0 is a host without charges.
func (d *dog) pet(until time.Duration) {
	now := d.boottime()
	if d.dev == nil || until != 0 && now >= until || now-d.petted < d.timeout/petsInTime {
		return
	}
	if err := d.dev.Pet(); err != nil {
		d.unpet = fmt.Sprintf("watchdog: pet it: %v", err)
		return
	}
	d.petted, d.unpet = now, ""
}

// letGo stops the device where that is possible; where it is not, it goes on being petted, because nothing on the host is a
// reason to reset it.
func (d *dog) letGo() {
	switch {
	case d.dev == nil:
	case !d.dev.Stoppable():
		d.pet(0)
	default:
		if err := d.dev.Stop(); err != nil {
			d.pet(0)
			d.unpet = fmt.Sprintf("watchdog: stop it: %v", err)
			return
		}
		d.dev, d.unpet = nil, ""
	}
}

// end lets go of the device for good, and says whether it counts on: with charges it does, because without a guard nobody
// would kill at the end of the lease.
func (d *dog) end(o *Orders) (counts bool, err error) {
	switch {
	case d.dev == nil:
		return false, nil
	case o != nil && o.Self == lease.Watchdog && len(o.Charges) > 0, !d.dev.Stoppable():
		return true, d.dev.Leave()
	}
	return false, d.dev.Stop()
}
