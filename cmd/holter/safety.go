package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// evidence says how it is known that something runs no more, by whom, and when.
func evidence(e *console.EvidenceItem) string {
	return fmt.Sprintf("%s at #%d %s by %s: %q", e.Kind, e.Index, clockTime(e.At), e.By, e.Reason)
}

func silence(s *console.SilenceItem) string {
	return fmt.Sprintf("wanted until %s by %s: %q", clockTime(s.Until), s.By, s.Reason)
}

// hostState is a host's word with its icon and what else has to be known of it at first sight.
func (a *app) hostState(h console.HostItem) cell {
	c := hostCell(h.Word)
	if h.Word == console.HostSilent && h.Silence != nil {
		c.text += fmt.Sprintf(" (wanted until %s)", a.untilTime(h.Silence.Until))
	}
	if !h.Quarantine.IsZero() {
		c.text += " (quarantined)"
	}
	if h.Twin != "" {
		c.text += " (twin)"
	}
	return c
}

// untilTime is a moment to come: with its date when that is not today's.
func (a *app) untilTime(t console.Time) string {
	if t.UTC().Format(time.DateOnly) == a.now().UTC().Format(time.DateOnly) {
		return t.UTC().Format("15:04Z")
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// leaseCell says in a few words how the lease of a host stands.
func leaseCell(h console.HostItem) cell {
	l := h.Lease
	switch h.Word {
	case console.HostUnseen:
		return cell{text: "-"}
	case console.HostLost, console.HostFencing, console.HostReturning:
		if !l.OverBy.IsZero() {
			return cell{"over by " + l.OverBy.UTC().Format("15:04:05Z"), roleWarn}
		}
		return cell{text: "revoked"}
	case console.HostFenced, console.HostExpired, console.HostConfirmed:
		return cell{text: "over"}
	case console.HostAlive, console.HostSuspect, console.HostSilent, console.HostUnknown:
	}
	switch {
	case l.Held && l.LeftMs > 0:
		return cell{text: age(l.LeftMs)}
	case l.Held:
		return cell{"ended", roleWarn}
	case l.Why != "":
		return cell{"none: " + l.Why, roleError}
	}
	return cell{"not yet", roleWarn}
}

// addSafety shows what stands between a host and running something twice.
func (a *app) addSafety(f fields, h console.HostItem) {
	f.add("self-fence", h.Lease.SelfFence)
	f.add("take-over", takeover(h.Lease))
	f.add("lease", lease(h))
	for _, d := range h.Fence {
		f.add("fence device", fmt.Sprintf("level %d: %s (%s), %s", d.Level, d.Name, d.Agent, a.tested(d)))
	}
	if len(h.Fence) == 0 {
		f.add("fence device", "none")
	}
	if fencing := h.Fencing; fencing != nil {
		f.add("fencing", a.attempt(fencing))
	}
	if h.Twin != "" {
		f.add("twin", "a second agent says that it is "+h.Name+": incarnation "+h.Twin+"; it gets nothing while the first is there")
	}
	if h.Silence != nil {
		f.add("silence", silence(h.Silence))
	}
	if !h.Damped.IsZero() {
		f.add("damped", "no plan starts by itself for it before "+clockTime(h.Damped)+", as it is lost again and again")
	}
	if h.HeldBack {
		f.add("held back", fmt.Sprintf("it would be lost: %s hear it no more; nothing is done while its silence is wanted", strings.Join(h.LostBy, " ")))
	}
	if !h.Quarantine.IsZero() {
		f.add("quarantine", fmt.Sprintf("until %s: lost %d times within an hour; holter host release %s --reason …", clockTime(h.Quarantine), h.Losses, h.Name))
	}
}

// takeover says when what the host ran may start elsewhere without a fence device, and how that comes about.
func takeover(l console.LeaseItem) string {
	if l.TakeoverMs == 0 {
		return "never by the lease alone: it does not fence itself, so the end of its lease proves nothing"
	}
	return fmt.Sprintf("safe %s after its last renewal: %s", time.Duration(l.TakeoverMs)*time.Millisecond, l.Sum)
}

func lease(h console.HostItem) string {
	l := h.Lease
	text := "not held yet"
	switch c := leaseCell(h); {
	case h.Word == console.HostUnseen:
		text = "never joined"
	case !l.OverBy.IsZero():
		text = "renewed no more, over by " + clockTime(l.OverBy)
	case h.Evidence != nil, c.text == "revoked":
		text = "renewed no more"
	case l.Held && l.LeftMs > 0:
		text = "held, ends in " + age(l.LeftMs) + " unless renewed"
	case l.Held:
		text = "ended " + age(-l.LeftMs) + " ago, unless it was renewed unheard"
	case l.Why != "":
		text = "not held: " + l.Why
	}
	if l.Fenced > 0 {
		text += fmt.Sprintf("; it has fenced itself %d times, last %s", l.Fenced, ago(l.FencedAgoMs))
	}
	if l.Pending {
		text += "; it joins again under the new terms of the inventory"
	}
	return text
}

func (a *app) tested(d console.DeviceItem) string {
	switch {
	case d.Tested.IsZero():
		return "not tested yet"
	case d.OK:
		return "answered its last test " + a.since(d.Tested) + " ago"
	}
	return "FAILED its last test " + a.since(d.Tested) + " ago: " + d.Reason
}

func (a *app) since(t console.Time) string { return console.Duration(max(a.now().Sub(t.Time), 0)) }

func (a *app) attempt(f *console.FencingItem) string {
	text := fmt.Sprintf("attempt %d by %s: ", f.Attempt, f.Monitor)
	switch f.Outcome {
	case "":
		return text + "under way for " + a.since(f.Begun)
	case "done":
		return text + "seen off through " + f.Device
	}
	return text + f.Outcome + ": " + f.Reason
}

func newHostCommand(a *app) *cobra.Command {
	return newNoun("host", "Change what a host may do", &cobra.Command{
		Use: "release HOST --reason TEXT", Short: "Let a quarantined host take workloads again",
		Example: "  holter host release ams-db-01 --reason \"its cable was changed\"", Args: exactly("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Release(ctx, args[0], a.flags.reason)
			})
		},
	}, &cobra.Command{
		Use: "remove HOST", Short: "Cut a host off for good that the inventory does not name any more",
		Long: `remove takes the keys of a host's agent away, so that it reaches nobody from then on. Take the host out of the inventory first; for one that
shall come back, or was stolen, there is holter agent revoke.`,
		Example: "  holter apply -f inventory.yaml && holter host remove ams-db-01 --reason scrapped", Args: exactly("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.RemoveHost(ctx, args[0], a.flags.reason)
			})
		},
	})
}

func newSilenceCommand(a *app) *cobra.Command {
	var length time.Duration
	cmd := &cobra.Command{
		Use: "silence HOST|WORKLOAD --for 10m --reason TEXT", Short: "Let a host or workload be silent for a while: a reboot, a patch",
		Long: `Let a host or workload be silent for a while: a reboot, a patch.

Until then its silence is no loss: nothing is moved and nothing alarms. It ends by itself, or with holter silence end.
An agent whose host fences itself stops what is exclusive all the same when its lease ends.`,
		Example: "  holter silence ams-db-01 --for 15m --reason \"a new kernel\"\n  holter silence end ams-db-01", Args: exactly("HOST|WORKLOAD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if length <= 0 {
				return usage("for how long? --for 10m; nothing was changed")
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Silence(ctx, args[0], console.SilenceRequest{Reason: a.flags.reason, ForMs: length.Milliseconds()})
			})
		},
	}
	cmd.Flags().DurationVar(&length, "for", 0, "how long, at most 168h")
	cmd.AddCommand(&cobra.Command{
		Use: "end HOST|WORKLOAD", Short: "End a wanted silence before its time", Example: "  holter silence end ams-db-01",
		Args: exactly("HOST|WORKLOAD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.EndSilence(ctx, args[0], a.flags.reason)
			})
		},
	})
	return cmd
}
