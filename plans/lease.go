package plans

import (
	"time"

	"github.com/holter-ha/holter/lease"
)

// Bounds of a lease and of a watchdog.
const (
	leastLease    = time.Second
	leastRenew    = 100 * time.Millisecond
	leastWatchdog = time.Second
	mostWatchdog  = time.Minute
)

// reconnect is how long an agent may be without any broker when its only one dies.
const reconnect = 1800 * time.Millisecond

// readLease reads {profile: …} or the numbers of a lease, or both: what is given beside a profile replaces its number. What is
// not given is as it was.
func (v value) readLease(terms *lease.Terms) {
	read, errors, was := *terms, v.file.lint.errors, *terms
	t := v.table(shape{fields: []string{"profile", "length", "renew", "stop"}})
	t.opt("profile", func(v value) {
		switch v.choice(choices{now: []string{"normal", "fast"}}) {
		case "normal":
			read = lease.Normal()
		case "fast":
			read = lease.Fast()
		}
	})
	t.opt("length", func(v value) { v.duration(&read.Length, leastLease) })
	t.opt("renew", func(v value) { v.duration(&read.Renew, leastRenew) })
	t.opt("stop", func(v value) { v.duration(&read.Stop, 0) })
	if v.file.lint.errors > errors {
		return
	}
	if err := read.Check(); err != nil {
		v.mistake(codeLease, "make length longer, or renew or stop shorter", "%s", err)
		return
	}
	*terms = read
	if enough := 3*read.Renew + read.Stop + reconnect; read != was && read.Length < enough {
		v.mistake(codeBrokers, "give each agent two brokers or more in its nats.url, or make length at least "+short(enough),
			"a lease of %s may end while an agent that reaches a single broker connects anew", short(read.Length))
	}
}

// readSelfFence reads what the host does when its lease ends, and how long that may take.
func (t table) readSelfFence(terms *lease.Terms) {
	known := true
	t.opt("self_fence", func(v value) {
		self := v.choice(choices{now: []string{string(lease.None), string(lease.Guard), string(lease.Watchdog)}})
		if known = self != ""; known {
			terms.Self = lease.SelfFence(self)
		}
	})
	timeout := lease.DefaultWatchdog
	t.opt("watchdog", func(v value) {
		if terms.Self != lease.Watchdog && known {
			v.onKey(codeTogether, "write self_fence: watchdog, or leave it out", "watchdog has no meaning without self_fence: watchdog")
		}
		v.table(shape{fields: []string{"timeout"}}).need("timeout", func(v value) {
			read := timeout
			if v.duration(&read, leastWatchdog); read%time.Second != 0 || read > mostWatchdog {
				v.mistake(codeBounds, "write 1s to 60s", "a watchdog's timeout must be whole seconds, at most %s", short(mostWatchdog))
				return
			}
			timeout = read
		})
	})
	switch terms.Self {
	case lease.Guard:
		terms.Kill = lease.GuardKill
	case lease.Watchdog:
		terms.Kill = timeout + lease.WatchdogSlack
	case lease.None:
		terms.Kill = 0
	}
}

// takeover is after how long silent hosts are taken over, as an operator wants it.
type takeover struct {
	at    value
	after time.Duration // 0: not given
	worst lease.Terms   // of the host that takes longest by itself
	host  string        // its name, empty if there is none
}

// lengthen makes the terms of a host that fences itself last so long, by giving it more time to kill.
func (k *takeover) lengthen(host string, terms *lease.Terms) {
	if k.host == "" || terms.Takeover() > k.worst.Takeover() {
		k.host, k.worst = host, *terms
	}
	terms.Longer(k.after)
}

// check refuses less than what lease and kill add up to, of all hosts that it is for; if it is for none, of one with a guard.
func (k *takeover) check(cluster lease.Terms) {
	of := " for " + k.host
	if k.host == "" {
		k.worst, of = cluster, ""
		k.worst.Self, k.worst.Kill = lease.Guard, lease.GuardKill
	}
	if 0 < k.after && k.after < k.worst.Takeover() {
		k.at.mistake(codeLease, "make it at least "+short(k.worst.Takeover())+", or the lease shorter",
			"takeover_after %s is not safe%s: %s", short(k.after), of, k.worst.Sum())
	}
}

// lease finds the terms of a host: the cluster's, with what the host says of its own.
func (w *inventoryWalk) lease(t table) lease.Terms {
	terms := w.terms
	t.opt("lease", func(v value) { v.readLease(&terms) })
	errors := t.file.lint.errors
	t.readSelfFence(&terms)
	fences := terms.Self != lease.None
	own := t.opt("takeover_after", func(v value) {
		k := takeover{at: v}
		v.duration(&k.after, leastLimit)
		switch {
		case fences:
			k.lengthen(t.name, &terms)
			k.check(terms)
		case t.file.lint.errors == errors:
			v.onKey(codeTogether, "write self_fence: guard, or leave it out", "takeover_after has no meaning with self_fence: none: there only fencing or a person proves anything")
		}
	})
	if fences && !own {
		w.takeover.lengthen(t.name, &terms)
	}
	return terms
}
