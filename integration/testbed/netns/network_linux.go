package netns

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The network. Its namespaces are no one else's, so neither are its addresses.
const (
	subnet        = "127.77.0.0/24"
	routerAddress = "127.77.0.254"
	addressFormat = "127.77.0.%d"
	maxParties    = 250
)

// network is a router and the links to it.
type network struct {
	router *namespace
	ports  int             // that were ever made: the name of one that is gone may still be taken for a moment
	rules  map[string]bool // what the router drops, as ip-rule(8) selects it
}

const routerScript = `
mount --make-rprivate /
mount -t proc proc /proc
echo 1 >/proc/sys/net/ipv4/ip_forward
`

func newNetwork() (*network, error) {
	router, err := newNamespace()
	if err != nil {
		return nil, err
	}
	n := &network{router: router, rules: map[string]bool{}}
	if err := router.script(routerScript); err != nil {
		router.kill()
		return nil, fmt.Errorf("set up the router: %w", err)
	}
	return n, nil
}

// partyScript sets a party up: its boot id, a /run that is empty after each boot, its address.
const partyScript = `
address=$1 router=$2 subnet=$3 bootid=$4
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$bootid" /proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
ip addr del 127.0.0.1/8 dev lo
ip addr add 127.0.0.1/32 dev lo
echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
ip addr add "$address/32" dev eth0 scope global
ip link set eth0 up
ip route add "$router/32" dev eth0 scope link
ip route add "$subnet" via "$router"
`

// routerPortScript sets the router's end of a link up.
const routerPortScript = `
port=$1 address=$2 router=$3
echo 1 >"/proc/sys/net/ipv4/conf/$port/route_localnet"
ip addr add "$router/32" dev "$port" scope global
ip link set "$port" up
ip route replace "$address/32" dev "$port"
`

// join links a namespace to the router, under an address and with the boot id in a file.
func (n *network) join(space *namespace, address, bootID string) error {
	port := fmt.Sprintf("port%d", n.ports)
	n.ports++
	if err := n.router.ip(fmt.Sprintf("link add %s type veth peer name eth0 netns %d", port, space.first.Process.Pid)); err != nil {
		return err
	}
	if err := n.router.script(routerPortScript, port, address, routerAddress); err != nil {
		return err
	}
	return space.script(partyScript, address, routerAddress, subnet, bootID)
}

// drop has the router drop what the selectors match.
func (n *network) drop(selectors ...string) error {
	var lines []string
	for _, s := range selectors {
		if !n.rules[s] {
			n.rules[s] = true
			lines = append(lines, "rule add "+rule(s))
		}
	}
	return n.change(lines)
}

// heal takes back what drops packets from or to an address; of all if it is empty.
func (n *network) heal(address string) error {
	var lines []string
	for _, s := range slices.Sorted(maps.Keys(n.rules)) {
		if address == "" || slices.Contains(strings.Fields(s), address) {
			delete(n.rules, s)
			lines = append(lines, "rule del "+rule(s))
		}
	}
	return n.change(lines)
}

// rule drops what a selector matches. Each form of selector has a preference of its own: to the kernel, a rule to an address
// is the same as one of equal preference from another to that address, and it would refuse to add the one beside the other.
func rule(selector string) string {
	pref := 10
	switch words := strings.Fields(selector); {
	case len(words) > 2:
	case words[0] == "from":
		pref = 11
	default:
		pref = 12
	}
	return fmt.Sprintf("pref %d %s blackhole", pref, selector)
}

func (n *network) change(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return n.router.ip(lines...)
}
