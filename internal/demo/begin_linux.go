package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/console"
)

const (
	beginLimit = 30 * time.Second      // until the shop answers
	askAgain   = 20 * time.Millisecond // while everything comes up
	callLimit  = 2 * time.Second       // for one exchange with the API
)

// begin starts everything: the processes, the inventory and the plan, the shop.
func (d *demo) begin(ctx context.Context, h home) error {
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	p := d.place
	d.story.say("Everything runs in processes of its own on %s0/24 and ends with this one. Nothing else on this machine is touched.", p.block)
	if err := p.write(); err != nil {
		return fmt.Errorf("write the config files: %w", err)
	}
	for _, m := range slices.Concat(p.Monitors, p.Hosts) {
		if err := d.processes.start(m); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{d.apply, d.startShop, d.firstAnswer} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := h.announce(p.servers()); err != nil {
		return err
	}
	d.looked = d.look(ctx, nil)
	d.term, d.index = d.looked.term, d.looked.index
	d.tellReady()
	return nil
}

// apply brings the inventory and the plan in, as soon as the monitors have a leader, and arms the plan.
func (d *demo) apply(ctx context.Context) error {
	files, err := d.place.files()
	if err != nil {
		return err
	}
	return d.until(ctx, "a monitor leads", func(ctx context.Context) error {
		if _, err := d.client.Apply(ctx, console.ApplyRequest{Files: files, Reason: "the demo begins"}); err != nil {
			return err
		}
		_, err := d.client.Arm(ctx, "shop-dr", "the demo begins")
		return err
	})
}

// startShop starts all workloads once every host has joined, and waits for the end of the run.
func (d *demo) startShop(ctx context.Context) error {
	err := d.until(ctx, "every host has joined", func(ctx context.Context) error {
		hosts, err := d.client.Hosts(ctx)
		if err != nil {
			return err
		}
		for _, h := range hosts.Items {
			if h.Word != console.HostAlive {
				return notYet(fmt.Sprintf("%s is %s", h.Name, h.Word))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	started, err := d.client.StartRun(ctx, console.RunRequest{Kind: console.StartWorkloads, All: true, Reason: "the demo begins"})
	if err != nil {
		return fmt.Errorf("start the shop: %w", err)
	}
	return d.until(ctx, "the shop is started", func(ctx context.Context) error {
		run, err := d.client.Run(ctx, started.Item.Run.ID)
		switch {
		case err != nil:
			return err
		case run.Item.Open():
			return notYet(run.Item.ID + " is " + run.Item.State)
		case run.Item.Exit != console.ExitOK:
			return fmt.Errorf("%s ended as %s", run.Item.ID, run.Item.State)
		}
		return nil
	})
}

// firstAnswer waits until the shop answers.
func (d *demo) firstAnswer(ctx context.Context) error {
	return d.until(ctx, "the shop answers", func(ctx context.Context) error {
		a := ask(ctx, d.place.Front())
		if a.err != nil {
			return notYet(a.err.Error())
		}
		d.answer = a.answer
		return nil
	})
}

// notYet is a reason to try again.
type notYet string

func (n notYet) Error() string { return string(n) }

// until tries until something has come true. What the monitors cannot do yet is tried again; any other error ends it, and
// so does a process that has ended.
func (d *demo) until(ctx context.Context, what string, try func(context.Context) error) error {
	pause := time.NewTicker(askAgain)
	defer pause.Stop()
	for {
		calling, cancel := context.WithTimeout(ctx, callLimit)
		err := try(calling)
		cancel()
		var later notYet
		api, isAPI := errors.AsType[*console.APIError](err)
		switch {
		case err == nil:
			return nil
		case errors.As(err, &later), isAPI && api.Exit == console.ExitNoQuorum, isAPI && api.Exit == console.ExitUnknown:
		default:
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		select {
		case <-pause.C:
		case p := <-d.processes.ends:
			if end := d.ended(p); end != nil {
				return end.err
			}
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: the time is up: %w", what, err)
		}
	}
}

// tellReady says that everything is there.
func (d *demo) tellReady() {
	s := &d.story
	ok := s.paint(markOK.color, markOK.icon)
	s.say(" %s 3 monitors with embedded NATS and Raft, leader %s · 6 agents on sites ams and fra · plan shop-dr armed", ok, d.looked.leader)
	s.say(" %s the shop: %s", ok, d.places(d.answer))
	s.say(" %s ready in %.2f s; a client asks http://%s 20 times a second, so you see an outage as users do", ok, time.Since(s.began).Seconds(), d.place.Front())
	s.say("   in a second terminal:  eval \"$(%s demo env)\"; %[1]s status", d.o.Holter)
}
