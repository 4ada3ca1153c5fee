// Package planner is Holter's pure core: State.Apply folds events, View.Observe hears beats, Decide derives what to do.
//
// Invariants (also checked in every simulation):
//   - Apply is total and deterministic: two monitors that applied the same entries hold byte-identical states (Encode).
//   - Apply is the last door: an entry that would let an exclusive workload start while another host may still run it is
//     refused there, whatever Decide thought.
//   - Decide is level-based: it reads State and View, never "what just happened". It may repeat an intent.
//   - No clock, no randomness, no logging, no I/O. Time comes in as Now.
//
// Concurrency: a *State is immutable; Apply returns a new one that shares what did not change. A View has one owner, the
// monitor's loop; nothing here locks.
package planner
