// Package raftstore makes events durable and agreed: the log, its snapshots, who votes, who leads. It is hashicorp/raft
// over bbolt, with what that library leaves to its user.
//
// # Forming a cluster
//
// Each monitor publishes [Store.Hello] about once a second and hands every hello it hears to [Store.ObserveHello]. When all
// configured monitors are heard, all of them fresh and at their configured addresses, the one with the lowest name starts
// the cluster with the full list. It leads first and writes ClusterFormed, so whoever finds [Store.Leading] true finds
// State().Cluster set. A monitor with state never forms a cluster, nor does one that ever heard of an existing one.
//
// # Invariants
//
//   - An entry is acknowledged (Propose without error) only when a majority has it on disk and it is applied here.
//   - Leading is true only after a barrier in the present term: State then holds all that was ever acknowledged.
//   - An entry that this program cannot apply ends the process (Options.Die). None is skipped.
//   - A server id is made with its data directory. Connections name the id they are meant for and are refused by any other,
//     so an empty directory never answers, and never votes, under a known name.
//   - A write that hangs for 3 s ends the process. A write that fails makes a leader step down and a follower refuse; raft
//     itself panics when its term or vote cannot be written. All of it is meant: a service manager starts the monitor again.
//
// # Who may call
//
// ListenTLS takes and makes connections between monitors only, each with a certificate; ListenTCP is for loopback addresses.
// Whoever is refused is logged. A caller who says nothing costs a place among those of its own address, for two seconds.
//
// # Concurrency
//
// All methods may be called from any goroutine. State is an immutable snapshot. One goroutine follows leadership and runs the
// canary; each call that waits for raft has one more, because a raft future may never answer, and their number is limited.
package raftstore
