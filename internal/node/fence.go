package node

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/holter-ha/holter/actions/fence"
	"github.com/holter-ha/holter/monitor"
	"github.com/holter-ha/holter/plans"
)

// fencer lets a monitor fence by the fence-agents programs.
type fencer struct{ runner *fence.Runner }

var _ monitor.Fencer = fencer{}

// Off implements monitor.Fencer.
func (f fencer) Off(ctx context.Context, host string, levels []plans.FenceLevel, may func(context.Context) error) (string, error) {
	made := make([]fence.Level, len(levels))
	for i, level := range levels {
		made[i].OneByOne = level.OneByOne
		for _, device := range level.Devices {
			made[i].Devices = append(made[i].Devices, deviceOf(device))
		}
	}
	report, err := f.runner.Off(ctx, host, made, func() error { return may(ctx) })
	var off []string
	for _, a := range report.Attempts {
		if a.Level == report.Level && a.Outcome == fence.OutcomeOff && !slices.Contains(off, a.Device) {
			off = append(off, a.Device)
		}
	}
	return strings.Join(off, ", "), err
}

// Test implements monitor.Fencer. Before the device is asked, its options are checked against what its agent knows: lint
// cannot, it runs where no agent need be installed.
func (f fencer) Test(ctx context.Context, device plans.FenceDevice) error {
	d := deviceOf(device)
	metadata, err := f.runner.Metadata(ctx, d.Agent)
	if err != nil {
		return err
	}
	if mistakes := fence.Check(metadata, d); len(mistakes) > 0 {
		return errors.New(strings.Join(mistakes, "; "))
	}
	return f.runner.Test(ctx, d)
}

func deviceOf(d plans.FenceDevice) fence.Device {
	return fence.Device{Name: d.Name, Agent: d.Agent, Options: d.Options, Timeout: d.Timeout, Attempts: d.Attempts}
}
