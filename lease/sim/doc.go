// Package sim simulates the lease protocol: single-threaded, seeded and deterministic, over the real planner.State.Apply,
// the real lease.Holder and the real lease.Granter. It has no code of its own for production; all of it is tests.
//
// A world has monitors that apply one log with lags of their own and several of which may believe to lead, machines with
// clocks that drift, an agent and a guard, and a network that loses, repeats, delays and cuts. Leaders are adversaries: they
// propose whatever might be legal, from states that are old, as early as they can. What protects is Apply, the lease, and the
// rules by which an agent obeys.
//
// Invariants, judged at every instant a process starts: no exclusive workload runs on two machines, as of the processes
// that run in the model and not of anybody's word; a grant to another host has its evidence in the log. At the end of some
// runs: whoever applies the same log has byte-identical state.
//
// Each rule of the protocol has a mutant: the same world with that one rule removed, at the simulator's edges and never in
// production code. A mutant that survives its faults is a failed test.
//
//	go test ./lease/sim -run TestStorm -v -seed 17            one run of the storm, as a story
//	go test ./lease/sim -run TestStorm -v -mutant 3 -seed 17  one run of a mutant under its own faults
//	make storm                                                50,000 runs, and each mutant in the undirected storm
package sim
