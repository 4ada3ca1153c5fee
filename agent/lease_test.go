package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// allRenewals lists the stamps of the renewals.
func (b *bed) allRenewals() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var stamps []time.Duration
	for _, r := range b.renewals {
		stamps = append(stamps, r.Stamp)
	}
	return stamps
}

// leftover reads what the agent has left the guard.
func (b *bed) leftover() guard.Orders {
	link, err := guard.Open(b.run)
	if err != nil {
		panic(err)
	}
	o, err := link.Leftover(hex.EncodeToString(b.bootID[:]))
	if err != nil || o == nil {
		panic(fmt.Sprint("no orders: ", err))
	}
	return *o
}

func TestLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		b.pass(10 * time.Second)
		stamps := b.allRenewals()
		if len(stamps) < 10 {
			t.Fatalf("renewals in 10 s: got %d", len(stamps))
		}
		for i := range stamps[1:] {
			if every := stamps[i+1] - stamps[i]; every != b.terms.Renew {
				t.Errorf("renewal %d came %s after the one before, want %s", i+1, every, b.terms.Renew)
			}
		}
		o := b.leftover()
		if o.Until != b.newest()+b.terms.Length || o.Inc != b.inc || o.Epoch != b.epoch || o.Self != lease.Guard || len(o.Charges) != 2 {
			t.Errorf("orders for the guard: %+v", o)
		}
		if word := b.lastLease(); !word.Held || word.Left < 3*time.Second || word.Left > b.terms.Length {
			t.Errorf("lease in the status: %+v", word)
		}
	})
}

// The loop hangs: the lease goes on, and so does what runs under it.
func TestRenewalsWaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		busy := make(chan struct{})
		b.hang.Store(&busy)
		before, renewals := len(b.world.Record()), len(b.allRenewals())
		b.pass(30 * time.Second)
		close(busy)
		b.pass(time.Second)
		if got := len(b.allRenewals()) - renewals; got < 30 {
			t.Errorf("renewals in 31 s: got %d", got)
		}
		diff(t, "what happened", b.since(before, 0), []string{})
	})
}

// A lease that a majority has not confirmed under this epoch lets nothing be started. The command waits for its repetition.
func TestNothingIsStartedBeforeTheLeaseIsConfirmed(t *testing.T) {
	for _, self := range []lease.SelfFence{lease.None, lease.Guard} {
		t.Run(string(self), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.fences()
				b.terms.Self = self
				b.answerRenewals("m3")
				b.bootJoined()
				c := b.command("1/s/db/1", b.epoch+1, actions.Start, "db")
				c.NotAfter += time.Minute
				b.send(c)
				b.pass(3500 * time.Millisecond)
				if got := b.answers(c.ID); len(got) > 0 || len(b.happened()) > 0 {
					t.Errorf("got answers %+v, happened %v; want neither", got, b.happened())
				}
				if word := b.lastLease(); word.Held || !strings.Contains(word.Why, "confirmed") {
					t.Errorf("lease in the status: %+v", word)
				}
				b.answerRenewals("m3", "m1")
				b.pass(1100 * time.Millisecond)
				if r := b.do(c); r.Outcome != wire.Done {
					t.Errorf("start under a confirmed lease: %+v", r)
				}
			})
		})
	}
}

// An epoch that nobody confirms is given up for another after the length of a lease.
func TestUnconfirmedEpochIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.answerRenewals()
		b.bootJoined()
		asks := b.allJoins()[len(b.allJoins())-1].Ask
		b.pass(b.terms.Length - time.Millisecond)
		if got := b.allJoins()[len(b.allJoins())-1].Ask; got != asks {
			t.Errorf("ask before the length of a lease: got %d, want %d", got, asks)
		}
		b.pass(200 * time.Millisecond)
		if got := b.allJoins()[len(b.allJoins())-1].Ask; got != asks+1 {
			t.Errorf("ask after the length of a lease: got %d, want %d", got, asks+1)
		}
	})
}

// A guard that is being replaced by its next version holds a start up, and fails none.
func TestAStartWaitsForAGuardThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.stopGuard()
		c := b.command("1/s/db/1", b.epoch+1, actions.Start, "db")
		b.send(c)
		b.pass(ackLimit + time.Second)
		if answers := b.answers(c.ID); len(answers) > 0 {
			t.Fatalf("without a guard: %+v", answers)
		}
		b.startGuard()
		b.pass(time.Second)
		if answers := b.answers(c.ID); len(answers) == 0 || answers[len(answers)-1].Outcome != wire.Done {
			t.Errorf("with the next guard: %+v", answers)
		}
	})
}

// The guard is part of the lease: while it is silent nothing exclusive is started, and nothing is renewed.
func TestSilentGuardEndsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		if r := b.do(b.command("1/s/db/1", b.epoch+1, actions.Start, "db")); r.Outcome != wire.Done {
			t.Fatalf("start with a guard: %+v", r)
		}
		b.stopGuard()
		before := len(b.world.Record())
		r := b.do(b.command("1/s/api/1", b.epoch+2, actions.Start, "api"))
		if r.Outcome != wire.Failed || !r.Stopped || !strings.Contains(r.Reason, "guard") || r.Took > comeBack+ackEvery {
			t.Errorf("start without a guard: %+v", r)
		}
		if r := b.do(b.command("1/s/web/1", b.epoch+3, actions.Start, "web")); r.Outcome != wire.Done {
			t.Errorf("start of what is not exclusive: %+v", r)
		}
		b.pass(time.Second)
		renewals := len(b.allRenewals())
		b.pass(3 * time.Second)
		if got := len(b.allRenewals()); got != renewals {
			t.Errorf("%d renewals without a guard", got-renewals)
		}
		if word := b.lastLease(); word.Held || !strings.Contains(word.Why, "the guard does not answer") {
			t.Errorf("lease in the status: %+v", word)
		}
		b.pass(5 * time.Second)
		diff(t, "what happened", sorted(b.happened()[before:]), []string{"started web", "starting web", "stopped db", "stopping db"})

		b.index = b.epoch + 10
		b.takeIn() // the host joins all the same, and can be told to stop something
		if r := b.do(b.command("2/stop/api/1", b.epoch+1, actions.Stop, "api")); r.Outcome != wire.Done {
			t.Errorf("stop without a guard: %+v", r)
		}
		joins := len(b.allJoins())
		b.pass(time.Minute)
		if got := len(b.allJoins()); got != joins {
			t.Errorf("%d joins while the guard was silent: nothing would come of them", got-joins)
		}
		b.startGuard()
		b.pass(2 * time.Second)
		if word := b.lastLease(); !word.Held {
			t.Errorf("lease in the status after the guard came back: %+v", word)
		}
	})
}

// watching sees what the guard goes by at the moment when something is started.
type watching struct {
	actions.Driver

	mu   sync.Mutex // starts come from goroutines
	see  func() guard.Word
	seen []string
}

func (d *watching) Do(ctx context.Context, a actions.Action) error {
	if a.Verb == actions.Start {
		w := d.see()
		d.mu.Lock()
		d.seen = append(d.seen, fmt.Sprint(a.Target.Workload, " under orders ", w.Seq))
		d.mu.Unlock()
	}
	return d.Driver.Do(ctx, a)
}

func TestGuardKnowsOfAStartBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		driver := &watching{Driver: b.drivers["memory"]}
		driver.see = func() guard.Word {
			o := b.leftover()
			link, err := guard.Open(b.run)
			if err != nil {
				panic(err)
			}
			w, err := link.Word(o.Boot)
			if err != nil || w.Seq < o.Seq || len(o.Charges) != 1 || o.Charges[0].Token != b.epoch+1 {
				t.Errorf("the guard goes by orders %d, they are %+v", w.Seq, o)
			}
			return w
		}
		b.drivers["memory"] = driver
		b.world.Script(testHost, "db", memory.Script{Start: memory.Behaviour{Takes: 5 * time.Second}})
		b.bootJoined()
		b.pass(130 * time.Millisecond)
		c := b.command("1/s/db/1", b.epoch+1, actions.Start, "db")
		b.send(c)
		b.pass(500 * time.Millisecond) // it is still starting
		if len(driver.seen) != 1 {
			t.Errorf("starts: got %v, want one", driver.seen)
		}
		if o := b.leftover(); len(o.Charges) != 1 || len(o.Charges[0].Handles) != 1 {
			t.Errorf("charges during the start: %+v", o.Charges)
		}
		b.pass(10 * time.Second)
		if r := b.do(b.command("2/stop/db/1", b.epoch+2, actions.Stop, "db")); !r.Stopped {
			t.Errorf("stop: %+v", r)
		}
		b.pass(time.Second)
		diff(t, "charges after the stop", b.leftover().Charges, []guard.Charge{})
	})
}

// The terms have changed: the host joins anew, and nothing that runs notices.
func TestRejoinKeepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		b.pass(3 * time.Second)
		before, former := len(b.world.Record()), b.epoch
		b.terms = lease.Fast()
		b.terms.Self, b.terms.Kill = lease.Guard, lease.GuardKill
		b.rejoin()
		if j := b.allJoins()[len(b.allJoins())-1]; j.Inc != b.inc || j.Former != b.inc || j.Epoch != former || len(j.Keep) != 3 {
			t.Errorf("join: %+v", j)
		}
		b.whenSaid = func() {
			if o := b.leftover(); o.Until > b.lastRenewal+b.terms.Length {
				t.Errorf("the offer was answered before the guard knew of its shorter lease: until %s, renewed last at %s", o.Until, b.lastRenewal)
			}
		}
		b.takeIn()
		b.pass(time.Minute)
		diff(t, "what happened", b.since(before, 0), []string{})
		stamps := b.allRenewals()
		if every := stamps[len(stamps)-1] - stamps[len(stamps)-2]; every != b.terms.Renew {
			t.Errorf("renewed every %s, want %s", every, b.terms.Renew)
		}
		if word := b.lastLease(); !word.Held || word.Fenced != 0 {
			t.Errorf("lease in the status: %+v", word)
		}
	})
}

func TestWhatAnswersAnEarlierAskIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		old, oldNonce, oldAsk := b.epoch, b.nonce, b.allJoins()[0].Ask
		b.answerJoins(false)
		b.rejoin()
		b.offer(wire.Offer{Host: testHost, Inc: b.inc, Ask: oldAsk, Nonce: b.index + 1, Terms: b.terms})
		b.offer(wire.Offer{Host: testHost, Inc: b.inc + 1, Ask: oldAsk + 1, Nonce: b.index + 1, Terms: b.terms})
		b.pass(3 * time.Second)
		for _, j := range b.allJoins() {
			if j.Ask == oldAsk+1 && j.Nonce != 0 {
				t.Fatalf("an offer to another ask was answered: %+v", j)
			}
		}
		b.assign(old) // of the epoch that was given up
		b.index += 10
		as := b.assignment(b.index)
		as.Nonce = oldNonce
		b.sendAssignment(as)
		if r := b.do(b.command("1/s/db/1", b.index+1, actions.Start, "db")); r.Outcome != wire.Failed {
			t.Errorf("start under an epoch that was not asked for: %+v", r)
		}
		b.heal()
		b.takeIn()
		if r := b.do(b.command("2/s/db/1", b.epoch+1, actions.Start, "db")); r.Outcome != wire.Done {
			t.Errorf("start under the new epoch: %+v", r)
		}
	})
}

// What the guard was charged with in this boot is not forgotten with the journal.
func TestLostJournalDoesNotLoseTheCharges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.dir = t.TempDir()
		b.bootJoined()
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "api", Token: 104}, {Workload: "db", Token: 103}})
		diff(t, "charges", len(b.leftover().Charges), 2)
	})
}

// A start of which nothing was begun does not trap its owner.
func TestStartThatCannotBeginFreesItsOwner(t *testing.T) {
	for name, want := range map[string]string{"unit": "no such unit", "kind": "no driver"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				world := memory.NewWorld("db")
				b.drivers["memory"] = world.Driver(testHost)
				b.bootJoined()
				c := b.command("1/s/api/1", b.epoch+1, actions.Start, "api")
				if name == "kind" {
					c.Action.Target.Kind = "ocf"
				}
				if r := b.do(c); r.Outcome != wire.Failed || !r.Stopped || !strings.Contains(r.Reason, want) {
					t.Errorf("result: %+v", r)
				}
				b.index += 10
				b.bootAgain()
				diff(t, "keep", b.lastKeep(), []wire.Kept{})

				// What was started once may still run, even if its driver knows it no more.
				b.do(b.command("2/s/db/1", b.epoch+1, actions.Start, "db"))
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
				b.drivers["memory"] = memory.NewWorld("other").Driver(testHost)
				b.index += 10
				b.bootJoined()
				if r := b.do(b.command("3/s/db/1", b.epoch+1, actions.Start, "db")); r.Outcome != wire.Failed || r.Stopped {
					t.Errorf("start of what may still run: %+v", r)
				}
			})
		})
	}
}

// An agent whose place another of its name took says so, once, with what to do.
func TestReplacedAgentSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		var log bytes.Buffer
		b.log = zerolog.MultiLevelWriter(zerolog.SyncWriter(&log))
		b.bootJoined()
		b.cut()
		for range 30 {
			b.pass(time.Second)
			b.ack(wire.Ack{Monitor: "m1", Host: testHost, Inc: 99, Epoch: b.epoch + 50, Stamp: b.now(), Voters: 1})
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "took its place"); got != 1 || !strings.Contains(log.String(), "0000000000000063") {
			t.Errorf("warnings: got %d, want one that names the other", got)
		}
	})
}

// A host that runs something exclusive is to fence itself from now on: the monitors may rely on that as soon as it answers
// their offer, so that it waits for its guard.
func TestOfferIsAnsweredOnceTheGuardKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.exclusive = []string{"db", "api"}
		b.bootJoined()
		b.startAll()
		b.pass(time.Second)
		before := len(b.world.Record())
		b.terms.Self, b.terms.Kill = lease.Guard, lease.GuardKill
		b.rejoin()
		b.pass(time.Second)
		if b.answered() {
			t.Error("the offer was answered although no guard knows of it")
		}
		b.startGuard()
		b.whenSaid = func() {
			if o := b.leftover(); o.Self != lease.Guard || len(o.Charges) != 2 {
				t.Errorf("orders when the offer was answered: %+v", o)
			}
		}
		b.takeIn()
		b.pass(20 * time.Second)
		diff(t, "what happened", b.since(before, 0), []string{})
	})
}

func TestAdoptedWorkloadIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.startByHand("db")
		b.bootJoined()
		b.index = 150
		b.assign(b.epoch, wire.Kept{Workload: "db", Token: 150})
		b.pass(time.Second)
		if o := b.leftover(); len(o.Charges) != 1 || o.Charges[0].Token != 150 {
			t.Errorf("charges: %+v", o.Charges)
		}
		b.exclusive = nil // by the inventory
		b.assign(b.epoch, wire.Kept{Workload: "db", Token: 150})
		b.pass(time.Second)
		diff(t, "charges of what is not exclusive any more", b.leftover().Charges, []guard.Charge{})
	})
}

// The monitors were replaced: from now on the acks of the new ones count.
func TestNewVotersRenewTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		before := len(b.world.Record())
		b.voters = lease.Voters{Index: b.index + 1, Names: []string{"m4", "m5", "m6"}}
		b.assign(b.epoch)
		b.answerRenewals("m4", "m6")
		b.pass(30 * time.Second)
		diff(t, "what happened", b.since(before, 0), []string{})
	})
}

// A look that finds nothing to kill proves nothing by itself: the guard keeps what it knows.
func TestHandlesAreReplacedAndNotForgotten(t *testing.T) {
	b := newBed(t)
	o := newOrders(Options{Boottime: b.now}, "boot", nil, nil)
	first, second := actions.Handle{Kind: actions.HandleProcess, PID: 7}, actions.Handle{Kind: actions.HandleProcess, PID: 8}
	o.charge("db", 5, target("db"))
	o.point("db", []actions.Handle{first})
	o.point("db", nil)
	diff(t, "after nothing was found", o.of("db").Handles, []actions.Handle{first})
	o.point("db", []actions.Handle{second})
	diff(t, "after another was found", o.of("db").Handles, []actions.Handle{second})
	o.charge("db", 6, target("db"))
	diff(t, "under a new token", o.of("db").Handles, []actions.Handle{second})
	o.discharge("db")
	o.point("db", []actions.Handle{first})
	diff(t, "charges after it was gone", len(o.all()), 0)
}
