package agent

import (
	"errors"

	"github.com/holter-ha/holter/agent/guard"
)

// open reads what former agents left: the journal, and in this boot of the machine the orders for the guard.
func (a *Agent) open() error {
	link, err := guard.Open(a.opt.RunDir)
	if err != nil {
		return err
	}
	left, err := link.Leftover(a.boot)
	if err != nil {
		return err
	}
	opt := a.opt
	opt.Log = a.log
	a.keeper = newKeeper(opt, left)
	a.orders = newOrders(opt, a.boot, link, left)
	a.orders.tenure, a.keeper.trouble, a.keeper.write = a.keeper.now, a.orders.trouble, a.orders.moved
	a.authority.inc, a.authority.tenure = a.opt.Inc, a.keeper.now
	a.doer = doer{looker: a.looker, may: a.authority.may, orders: a.orders, tenure: a.keeper.now, killer: a.opt.Kill}
	return a.openJournal()
}

func (a *Agent) openJournal() error {
	j, err := openJournal(a.opt.Dir)
	if err != nil {
		return err
	}
	entries, last, err := j.load()
	if err == nil {
		a.journalID, err = j.id()
	}
	if err != nil {
		return errors.Join(err, j.close())
	}
	a.journal, a.last = j, last
	for name, e := range entries {
		a.workload(name).entry = e
	}
	a.remember()
	return nil
}

// remember brings journal and orders together. A charge that the journal knows nothing of ran here in this boot, and the
// journal was lost since; one that the journal knows to be gone was not taken out in time.
func (a *Agent) remember() {
	for name, c := range a.orders.all() {
		w := a.workload(name)
		if w.MaxSeen < c.Token && w.Token < c.Token {
			w.entry = entry{Target: c.Target, Token: c.Token, MaxSeen: c.Token, Exclusive: true}
		}
		if w.Token == 0 {
			a.orders.discharge(name)
		}
	}
	a.charge()
}
