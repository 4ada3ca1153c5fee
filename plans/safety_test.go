package plans

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/lease"
)

// inventoryOf is an inventory with these fields of the cluster, hosts and workloads.
func inventoryOf(cluster, hosts, workloads string) []File {
	return []File{{Name: "inventory.yaml", Text: fmt.Appendf(nil, "apiVersion: holter/v1\nkind: Inventory\ncluster: {name: c%s}\nsites: {s: {}}\nhosts:\n%sworkloads: {%s}\n",
		cluster, hosts, workloads)}}
}

// Terms come from the profile, the numbers beside it, the cluster's, self_fence, watchdog and takeover_after, in that order.
func TestTermsOfAHost(t *testing.T) {
	const second = time.Second
	terms := func(length, renew, stop, kill time.Duration, self lease.SelfFence) lease.Terms {
		return lease.Terms{Length: length, Renew: renew, Stop: stop, Kill: kill, Self: self}
	}
	usual := 1200 * time.Millisecond
	for _, c := range []struct {
		cluster, host string
		want          lease.Terms
		takeover      time.Duration
	}{
		{"", "", terms(6*second, second, usual, 0, lease.None), 7500 * time.Millisecond},
		{"", ", self_fence: guard", terms(6*second, second, usual, second, lease.Guard), 8750 * time.Millisecond},
		{", lease: {profile: fast}", ", self_fence: guard", terms(3*second, second/2, usual, second, lease.Guard), 5 * second},
		{", lease: {length: 8s}", ", self_fence: guard", terms(8*second, second, usual, second, lease.Guard), 11250 * time.Millisecond},
		{", lease: {profile: fast, length: 8s}", ", self_fence: guard", terms(8*second, second/2, usual, second, lease.Guard), 11250 * time.Millisecond},
		{", lease: {profile: fast}", ", self_fence: guard, lease: {stop: 1s}", terms(3*second, second/2, second, second, lease.Guard), 5 * second},
		{", lease: {profile: fast}", ", self_fence: guard, lease: {profile: normal}", terms(6*second, second, usual, second, lease.Guard), 8750 * time.Millisecond},
		{"", ", self_fence: watchdog", terms(6*second, second, usual, 6*second, lease.Watchdog), 15 * second},
		{"", ", self_fence: watchdog, watchdog: {timeout: 10s}", terms(6*second, second, usual, 11*second, lease.Watchdog), 21250 * time.Millisecond},
		{"", ", self_fence: guard, takeover_after: 8750ms", terms(6*second, second, usual, second, lease.Guard), 8750 * time.Millisecond},
		{"", ", self_fence: guard, takeover_after: 12s", terms(6*second, second, usual, 3600*time.Millisecond, lease.Guard), 12 * second},
		{", takeover_after: 12s", ", self_fence: guard", terms(6*second, second, usual, 3600*time.Millisecond, lease.Guard), 12 * second},
		{", takeover_after: 12s", ", self_fence: guard, takeover_after: 10s", terms(6*second, second, usual, 2*second, lease.Guard), 10 * second},
		{", takeover_after: 12s", "", terms(6*second, second, usual, 0, lease.None), 7500 * time.Millisecond},
	} {
		set, err := Decode(inventoryOf(c.cluster, "  h: {site: s"+c.host+"}\n", ""), nil)
		if err != nil {
			t.Errorf("cluster%s host%s: %v", c.cluster, c.host, err)
			continue
		}
		if got := set.Inventory.Hosts["h"].Lease; got != c.want || got.Takeover() != c.takeover {
			t.Errorf("cluster%s host%s: got %+v, taken over after %s, want %+v, %s", c.cluster, c.host, got, got.Takeover(), c.want, c.takeover)
		}
	}
}

// Below the sum nothing is accepted, by not even a millisecond, wherever it stands.
func TestTakeoverBelowTheSumIsRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"", ", self_fence: guard, takeover_after: 8749ms"},
		{", takeover_after: 8749ms", ", self_fence: guard"},
		{", takeover_after: 8749ms", ""},
		{"", ", self_fence: watchdog, takeover_after: 14999ms"},
	} {
		_, mistakes := Lint(inventoryOf(c[0], "  h: {site: s"+c[1]+"}\n", ""), nil)
		if len(mistakes) != 1 || mistakes[0].Code != codeLease || !strings.Contains(mistakes[0].Message, "× 1.25") {
			t.Errorf("cluster%s host%s: %v, want one mistake with the sum", c[0], c[1], mistakes)
		}
	}
}

// One number sets that one and leaves the other out.
func TestGuardOfAPlan(t *testing.T) {
	for text, want := range map[string]Guard{
		"": {MaxLost: 3, MaxLostShare: 30}, "guard: {}\n": {MaxLost: 3, MaxLostShare: 30},
		"guard: {max_lost: 5}\n": {MaxLost: 5}, "guard: {max_lost: 20%}\n": {MaxLostShare: 20}, "guard: {max_lost: \"20%\"}\n": {MaxLostShare: 20},
	} {
		set, err := Decode([]File{{Name: "p.yaml", Text: []byte("apiVersion: holter/v1\nkind: Plan\nname: p\n" + text + "steps:\n  - wait: 1s\n")}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Plans[0].Guard; got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}

// Warnings refuse nothing, however many there are, and hide no error.
func TestManyWarningsAreNoError(t *testing.T) {
	var hosts strings.Builder
	for i := range maxMistakes + 500 {
		fmt.Fprintf(&hosts, "  h%d: {site: s}\n", i)
	}
	w := "w: {kind: memory, unit: w, hosts: any}"
	set, mistakes := Lint(inventoryOf("", hosts.String(), w), nil)
	if set == nil || len(mistakes) != maxMistakes+1 {
		t.Fatalf("set %v, %d mistakes, want a set and %d warnings", set != nil, len(mistakes), maxMistakes+1)
	}
	if last := mistakes[maxMistakes]; last.Message != "500 more warnings" || last.Severity != SeverityWarning {
		t.Errorf("at the end: %+v", last)
	}
	plan := File{Name: "z.yaml", Text: []byte("apiVersion: holter/v1\nkind: Plan\nname: p\nsteps:\n  - stop: {workloads: [x]}\n")}
	set, mistakes = Lint(append(inventoryOf("", hosts.String(), w), plan), nil)
	found := 0
	for _, m := range mistakes {
		if m.Code == codeNoWorkload {
			found++
		}
	}
	if set != nil || found != 1 {
		t.Errorf("set %v, %d mistakes about the plan, want no set and 1", set != nil, found)
	}
}

// The checks of a large inventory take the time of its pairs of workload and host, no more.
func TestSafetyOfALargeInventory(t *testing.T) {
	var hosts, workloads strings.Builder
	for i := range 12_000 {
		fmt.Fprintf(&hosts, "  h%d: {site: s}\n", i)
	}
	for i := range 80 {
		fmt.Fprintf(&workloads, "w%d: {kind: memory, unit: w%d, hosts: any}, ", i, i)
	}
	began := time.Now()
	set, mistakes := Lint(inventoryOf("", hosts.String(), workloads.String()), nil)
	if set == nil || len(mistakes) != maxMistakes+1 {
		t.Fatalf("%d mistakes", len(mistakes))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, m := range mistakes {
		if len(m.Message) > 300 {
			t.Fatalf("a message of %d bytes: %s", len(m.Message), m.Message)
		}
	}
}

// A secret in a file is refused without repeating it.
func TestSecretsAreNotShown(t *testing.T) {
	for _, option := range []string{
		"password: hunter2", "passwd: hunter2", "PASSWORD: hunter2", "snmp-priv-passwd: hunter2", "secret: hunter2", "token: hunter2", "api_key: hunter2",
		"password_file: hunter2", `password: "hunter2\n"`, "password: [hunter2]", "password: hunter2, nonsense: ~",
	} {
		_, err := Decode(inventoryOf("", "  h: {site: s, fence: [{agent: fence_ipmilan, options: {"+option+"}}]}\n", ""), nil)
		if err == nil || !strings.Contains(err.Error(), codeSecret) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", option, err)
		}
	}
	for _, option := range []string{"password_file: /etc/x", "password_script: /etc/x", "snmp_priv_prot: AES", "ssh_secret_path: /x", "inet4_only: 1"} {
		if _, err := Decode(inventoryOf("", "  h: {site: s, fence: [{agent: fence_ipmilan, options: {"+option+"}}]}\n", ""), nil); err != nil {
			t.Errorf("%s: %v", option, err)
		}
	}
}
