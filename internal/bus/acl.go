package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holter-ha/holter/wire"
)

// ACL writes the permissions that a NATS of somebody's own needs, as part of its configuration: one user for each host's agent
// and one for each monitor. The keys are the public parts of nkeys by the names of monitors and hosts; for those that are empty it
// leaves a name that NATS refuses, to be filled in.
func ACL(monitors, agents map[string]string) string {
	var b strings.Builder
	b.WriteString("# Who may say and hear what of Holter. All others are refused as long as no other user is listed.\n")
	b.WriteString("authorization {\n  users = [\n")
	all := []string{wire.Everything()}
	for _, name := range slices.Sorted(maps.Keys(monitors)) {
		writeUser(&b, "monitor "+name, "NKEY_OF_MONITOR_"+name, monitors[name], all, all)
	}
	for _, host := range slices.Sorted(maps.Keys(agents)) {
		writeUser(&b, "the agent of "+host, "NKEY_OF_"+host, agents[host], wire.AgentPublishes(host), wire.AgentHears(host))
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

func writeUser(b *strings.Builder, who, placeholder, nkey string, publish, subscribe []string) {
	if nkey == "" {
		nkey = placeholder
	}
	fmt.Fprintf(b, "    # %s\n    {\n      nkey: %q\n      permissions: {\n", who, nkey)
	fmt.Fprintf(b, "        publish: { allow: [%s] }\n", quoted(publish))
	fmt.Fprintf(b, "        subscribe: { allow: [%s] }\n      }\n    }\n", quoted(subscribe))
}

func quoted(subjects []string) string {
	var list []string
	for _, subject := range subjects {
		list = append(list, fmt.Sprintf("%q", subject))
	}
	return strings.Join(list, ", ")
}
