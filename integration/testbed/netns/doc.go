// Package netns runs clusters of the real program on a network that can really be cut: each monitor and each host is a party
// in namespaces of its own, joined by veth pairs to a router in another one. It needs root and iproute2, and nothing is left
// of it however the test ends.
//
// Monitors bind loopback addresses only, so the network is made of them: each party's veth has an address of 127.77.0.0/24,
// which the kernel routes between the namespaces like any other (route_localnet; lo keeps 127.0.0.1 alone). So parties speak
// to each other by one TCP connection from end to end, without a forwarder that would acknowledge what never arrives. A cut is
// a rule of the router that drops packets silently: connections stall, as they do when a cable is pulled, and no side is told.
//
// A Cluster is what storms of faults are made of: it lists its Parties and their Services, Crashes and Boots the ones, Signals
// and Starts the others, Cuts and Heals links, and judges by the workloads' own words (package record) whether one ever ran
// twice. Nothing is started again by itself: a test is the service manager too.
//
// Invariants: all processes of a party live in its pid namespace, and end with its first one, which the kernel kills when the
// test's process ends; nothing is written into this machine's own network or mounts. What the parties share is the kernel,
// its clocks, and the file system; each boot of a party has a boot id of its own and an empty /run.
//
// Concurrency: a cluster is used by the goroutine of its test only.
package netns
