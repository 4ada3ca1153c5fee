package console_test

import (
	"testing"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
)

// TestChainIsTheMonitorsOwn asks a monitor that does not lead: it answers for itself and asks nobody else, and the chain is
// that of its whole log.
func TestChainIsTheMonitorsOwn(t *testing.T) {
	m := consoletest.Installed()
	m.Change(nil, func(look *console.Look) { look.Leading, look.Leader = false, "" })
	c := client(t, serve(t, m).URL)
	got, err := c.AuditChain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chain := ""
	m.Replay(func(index uint64, raw []byte, refusal *planner.Refusal, _ string) {
		if chain = planner.Link(chain, index, raw); refusal != nil {
			chain = planner.LinkRefused(chain)
		}
	})
	want := console.ChainItem{Monitor: "mon-1", Index: m.Look().State.Index, Chain: chain}
	if got.Item != want || got.Kind != "AuditChain" {
		t.Errorf("chain: got %s %+v, want %+v", got.Kind, got.Item, want)
	}
}
