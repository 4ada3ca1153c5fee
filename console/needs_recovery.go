package console

import (
	"fmt"
	"time"

	"github.com/holter-ha/holter/planner"
)

// needsOfRecovery says what a recovered cluster waits for: the files, and then each host of which nobody knows what it runs.
func needsOfRecovery(look Look) []Need {
	recovery := look.State.Recovery
	if recovery == nil {
		return nil
	}
	list := []Need{}
	if recovery.Files {
		return append(list, Need{
			Level: LevelCritical, About: "cluster", Command: "holter apply -f FILE…",
			Text: fmt.Sprintf("the cluster was recovered at #%d and has lost what was newer than #%d: apply your newest files, nothing starts before", look.State.Generation, recovery.From),
		})
	}
	for _, name := range look.State.UnprovenHosts() {
		host, _ := look.State.Hosts.Get(name)
		list = append(list, Need{
			Level: LevelCritical, About: name, Text: fmt.Sprintf("nothing starts until %s is proven: %s", name, unproven(look, host)),
			Command: "if it is off: holter fence confirm " + name + " --reason …",
		})
	}
	return list
}

// unproven says what an unproven host is waited for.
func unproven(look Look, host planner.Host) string {
	if !host.Lease.Fences() {
		return "its agent has to join and say what runs there; it does not fence itself"
	}
	left := host.Lease.Takeover() - look.Now.Sub(host.Since)
	if left > 0 {
		return fmt.Sprintf("its last lease may last %s more: %s", Duration(left.Round(100*time.Millisecond)), host.Lease.Sum())
	}
	return fmt.Sprintf("the monitors that vote on leases have to be up for %s: %s", Duration(host.Lease.Takeover()), host.Lease.Sum())
}
