package plans

import (
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/holter-ha/holter/actions"
)

// ready reads a readiness condition of a workload that may be on hosts with these addresses.
func (v value) ready(addresses []string) actions.Ready {
	r := actions.Ready{When: actions.ReadyActive, Timeout: defaultReadyTimeout}
	t := v.table(shape{fields: []string{"when", "url", "addr", "command", "settle", "timeout"}, later: []string{"key", "count"}})
	t.opt("when", func(v value) {
		r.When = actions.ReadyWhen(v.choice(choices{
			now:   []string{string(actions.ReadyActive), string(actions.ReadyHTTP), string(actions.ReadyTCP), string(actions.ReadyCommand)},
			later: []string{"heartbeat", "healthy", "data"},
		}))
	})
	t.onlyFor("url", r.When, actions.ReadyHTTP, func(v value) { r.URL = v.location(isURL, "http://{{ host.address }}:8080/healthz", addresses) })
	t.onlyFor("addr", r.When, actions.ReadyTCP, func(v value) { r.Addr = v.location(isAddr, "{{ host.address }}:5432", addresses) })
	t.onlyFor("command", r.When, actions.ReadyCommand, func(v value) { r.Command = v.command() })
	t.opt("timeout", func(v value) { v.duration(&r.Timeout, leastLimit) })
	t.opt("settle", func(v value) {
		v.duration(&r.Settle, 0)
		if r.Settle >= r.Timeout {
			v.mistake(codeBounds, "make it shorter or the timeout longer", "settle must be shorter than the timeout, which is %s", short(r.Timeout))
		}
	})
	return r
}

// onlyFor reads a field that one readiness condition needs and no other has.
func (t table) onlyFor(name string, when, only actions.ReadyWhen, read func(value)) {
	if when == only {
		t.need(name, read)
	} else if when != "" { // else the mistake is in when
		t.opt(name, func(v value) {
			v.onKey(codeTogether, "write when: "+string(only)+", or leave it out", "%s has no meaning with when: %s", name, when)
		})
	}
}

// location reads a text that says where to look, with placeholders, and tries it with the addresses of the hosts.
func (v value) location(good func(string) bool, example string, addresses []string) string {
	s := v.text()
	noted := v.file.lint.noted()
	v.template(s, VarHostName, VarHostAddress, VarWorkloadName, VarWorkloadUnit)
	try := func(address string) bool {
		return good(Expand(s, map[string]string{
			VarHostName: "host", VarHostAddress: address, VarWorkloadName: "workload", VarWorkloadUnit: "unit",
		}))
	}
	switch {
	case s == "" || v.file.lint.noted() != noted:
	case !try("192.0.2.1"):
		v.mistake(codeForm, "write for example "+example, "%s %s does not have the form of one", v.name, quote(s))
	case !usesHostAddress(s):
	case contains(addresses, ""):
		v.mistake(codeNoAddress, "give each allowed host an address", "a host that is allowed has no address")
	case slices.ContainsFunc(addresses, isIPv6) && !try("2001:db8::1"):
		v.mistake(codeNoAddress, "write [{{ host.address }}]", "a host that is allowed has an IPv6 address, which needs brackets here")
	}
	return s
}

func usesHostAddress(s string) bool {
	return slices.ContainsFunc(placeholders(s), func(p placeholder) bool { return p.name == VarHostAddress })
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && (u.Port() == "" || isPort(u.Port()))
}

func isAddr(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && isPort(port)
}
