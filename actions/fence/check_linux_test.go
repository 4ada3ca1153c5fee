package fence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holter-ha/holter/actions/fence"
	"github.com/holter-ha/holter/integration/testbed"
)

// TestCheckRealAgents checks devices against what the agents that are installed say of themselves.
func TestCheckRealAgents(t *testing.T) {
	testbed.RequireFenceAgents(t, "fence_ipmilan")
	r := fence.New(fence.Options{})
	type options = map[string]string
	for name, c := range map[string]struct {
		agent   string
		options options
		want    []string
	}{
		"good":       {"fence_ipmilan", options{"ip": "10.0.0.1", "username": "a", "password_file": "/etc/a", "lanplus": "1", "method": "onoff"}, nil},
		"misspelt":   {"fence_ipmilan", options{"pasword_file": "/etc/a", "lanpuls": "1", "qqqq": "1"}, []string{"option lanpuls: fence_ipmilan has no such option; did you mean lanplus?", "option pasword_file: fence_ipmilan has no such option; did you mean password?", "option qqqq: fence_ipmilan has no such option"}},
		"in clear":   {"fence_ipmilan", options{"passwd": "geheim"}, []string{"option passwd: a secret stands here for everybody to read: write it to a file on the monitors, and give that as passwd_file"}},
		"not a path": {"fence_ipmilan", options{"password_file": "geheim"}, []string{"option password_file: not an absolute path: name the file that holds the value"}},
		"values": {"fence_ipmilan", options{"lanplus": "ja", "ipport": "http", "power_wait": "soon", "method": "cycl"}, []string{
			`option ipport: "http" is not a whole number`,
			`option lanplus: "ja" is neither yes (1, yes, on, true) nor no (0, no, off, false)`,
			`option method: "cycl" is none of onoff, cycle`,
			`option power_wait: "soon" is not a number of seconds`,
		}},
		"ours":    {"fence_ipmilan", options{"action": "reboot"}, []string{"option action: the agent is told by Holter what to do: leave it out"}},
		"verbose": {"fence_ipmilan", options{"verbose": "1", "debug_file": "/tmp/x"}, []string{"option debug_file: agents may write passwords to logs with it: use it by hand only", "option verbose: agents may write passwords to logs with it: use it by hand only"}},
		"twice":   {"fence_ipmilan", options{"ip": "10.0.0.1", "ipaddr": "10.0.0.2", "password_file": "/a", "passwd_file": "/b"}, []string{"options ip, ipaddr are the same: leave all but one out", "options passwd_file, password_file are the same: leave all but one out"}},
		"missing": {"fence_apc", options{"username": "a", "password_file": "/a", "ipaddr": "10.0.0.1"}, []string{"option plug is missing: fence_apc needs it (Physical plug number on device, UUID or identification of machine)"}},
		"too slow": {"fence_ipmilan", options{"ip": "10.0.0.1", "delay": "18"}, []string{
			"delay and power_wait take 20s of the timeout of 30s, which leaves no time to switch off: give the device more time",
		}},
		"missing is off": {"fence_aws", options{"plug": "i-1", "missing_as_off": "1"}, []string{"option missing_as_off: fence_aws has no such option"}},
		"fabric":         {"fence_scsi", options{"plug": "db-1"}, []string{"fence_scsi cuts off storage or a network, not power: the host's programs run on"}},
		"no status":      {"fence_kdump", options{"nodename": "db-1"}, []string{"fence_kdump cannot say whether the power is off, so that it proves nothing: it has only off, monitor, metadata, validate-all"}},
		"no off":         {"fence_rcd_serial", nil, []string{"fence_rcd_serial cannot switch off: it has only reboot, monitor, metadata, manpage, validate-all"}},
		"ping":           {"fence_crosslink", options{"plug": "db-1", "crosscableip": "10.0.0.1"}, []string{"fence_crosslink takes a host that answers no ping for off: it is no proof that the host runs nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.RequireFenceAgents(t, c.agent)
			m, err := r.Metadata(t.Context(), c.agent)
			if err != nil {
				t.Fatal(err)
			}
			d := fence.Device{Name: "x", Agent: c.agent, Options: c.options, Timeout: 30 * time.Second, Attempts: 1}
			if diff := cmp.Diff(c.want, fence.Check(m, d), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretsByName(t *testing.T) {
	testbed.RequireFenceAgents(t, "fence_ipmilan", "fence_apc_snmp", "fence_ibm_vpc", "fence_aws")
	r := fence.New(fence.Options{})
	var got []string
	for _, agent := range []string{"fence_ipmilan", "fence_apc_snmp", "fence_ibm_vpc", "fence_aws"} {
		m, err := r.Metadata(t.Context(), agent)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Parameters {
			if p.Secret {
				got = append(got, strings.TrimPrefix(agent, "fence_")+" "+p.Name)
			}
		}
	}
	want := []string{
		"ipmilan hexadecimal_kg", "ipmilan passwd", "ipmilan password",
		"apc_snmp community", "apc_snmp passwd", "apc_snmp password", "apc_snmp snmp_priv_passwd",
		"ibm_vpc apikey", "aws secret_key",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

func TestMissingAsOffIsRefused(t *testing.T) {
	m := fence.Metadata{
		Actions:    []string{"off", "status"},
		Parameters: []fence.Parameter{{Name: "missing_as_off", Type: "boolean"}},
	}
	d := fence.Device{Agent: "fence_x", Options: map[string]string{"missing_as_off": "1"}, Timeout: time.Minute}
	want := []string{"option missing_as_off: a misspelt plug would count as a host that is off"}
	if diff := cmp.Diff(want, fence.Check(m, d)); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}
