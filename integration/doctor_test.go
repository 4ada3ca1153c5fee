package integration

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/holter-ha/holter/console"
)

// doctor is what holter doctor -o json says, without the disk of the machine that the tests run on, and the exit code.
func (p *processes) doctor(args ...string) (findings []console.Finding, losses []console.LossItem, code int) {
	p.t.Helper()
	out, talk, code := p.holter(append([]string{"doctor", "-o", "json"}, args...)...)
	var report struct {
		Item struct {
			Findings []console.Finding  `json:"findings"`
			Losses   []console.LossItem `json:"losses"`
		} `json:"item"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		p.t.Fatalf("the doctor says no JSON (exit %d): %v\n%s%s", code, err, out, talk)
	}
	full := false
	findings = slices.DeleteFunc(report.Item.Findings, func(f console.Finding) bool {
		full = full || f.Check == console.CheckDisk && f.Grade.Wrong()
		return f.Check == console.CheckDisk && f.Grade.Wrong()
	})
	wrong := slices.ContainsFunc(findings, func(f console.Finding) bool { return f.Grade.Wrong() })
	if want := map[bool]int{true: int(console.ExitUnwell)}[wrong || full]; code != want && code != int(console.ExitNoQuorum) {
		p.t.Fatalf("the doctor exits with %d, want %d\n%s", code, want, out)
	}
	return findings, report.Item.Losses, code
}

// wrongs is what the doctor finds wrong, in lines.
func wrongs(findings []console.Finding) string {
	var lines []string
	for _, f := range findings {
		if f.Grade.Wrong() {
			lines = append(lines, f.Check+": "+f.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// TestDoctor: of a whole secured cluster the doctor says that all is well, with every clock and certificate of it, and where the
// workload would go; it tries the permissions of an agent; and it names an agent that was stopped.
func TestDoctor(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.units = []string{"db"}
	p.secure()
	p.waitLeader()
	p.enrol("ams-1")
	p.enrol("fra-1")
	inventory, plan := filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "plan.yaml")
	p.writeFile(inventory, securedShop)
	p.writeFile(plan, restartElsewhere)
	p.must(0, "apply", "-f", inventory, "-f", plan)
	p.must(0, "plan", "arm", "restart-elsewhere")
	p.until("both hosts hold a lease", func() bool {
		return p.host("ams-1").Lease.Held && p.host("fra-1").Lease.Held
	})
	p.must(0, "start", "db", "--reason", "CHG-1")

	var findings []console.Finding
	var losses []console.LossItem
	p.until("all is well", func() bool {
		findings, losses, _ = p.doctor("--agent", p.path("ams-1"))
		all := wrongs(findings) == "" && slices.ContainsFunc(findings, func(f console.Finding) bool {
			return f.Check == console.CheckClocks && strings.HasPrefix(f.Text, "5 wall clocks") // every agent says it once in a while
		})
		if !all {
			t.Logf("not yet well:\n%s", wrongs(findings))
		}
		return all
	})
	for check, want := range map[string]string{
		console.CheckMonitors: "3 of 3 monitors answer", console.CheckPorts: "NATS: 3 of 3", console.CheckCertificates: "5 certificates of",
		console.CheckPermissions: "lets the agent of ams-1 do what it must and nothing else", console.CheckFencing: "fence themselves: 2 of 2",
		console.CheckLosses: "1 of 1 workloads would start elsewhere",
	} {
		if !slices.ContainsFunc(findings, func(f console.Finding) bool { return f.Check == check && strings.Contains(f.Text, want) }) {
			t.Errorf("%s: want …%s… in\n%+v", check, want, findings)
		}
	}
	if len(losses) != 2 || len(losses[0].Workloads) != 1 || losses[0].Workloads[0].To != "fra-1" || losses[0].Workloads[0].Fate != console.FateMoves {
		t.Errorf("foretold: %+v, want that db moves to fra-1", losses)
	}

	p.end("fra-1", syscall.SIGTERM)
	p.until("the doctor names the agent that was stopped", func() bool {
		findings, losses, _ = p.doctor()
		return strings.Contains(wrongs(findings), "fra-1 is lost") && len(losses) == 1 &&
			losses[0].Workloads[0].Fate == console.FateNowhere && strings.Contains(losses[0].Workloads[0].Text, "fra-1")
	})
}
