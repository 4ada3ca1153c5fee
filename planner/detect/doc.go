// Package detect measures how well hosts are told dead from silent. It holds nothing but tests.
//
// A trace is what one host's beats do on a modelled link: when each was sent, and when it arrived, if it did. A detector
// hears a trace and says after each beat when the host is lost if nothing more comes. Planner's View, a reference of the
// published algorithm with a switch for each of its rules, and the baselines of the literature hear the same traces; counted
// are, in the terms of Chen, Toueg and Aguilera ("On the Quality of Service of Failure Detectors", IEEE Transactions on
// Computers 51(5), 2002): mistakes, the time between them, how long one lasts, and the time from a crash to its detection.
//
// Invariants: time is virtual and chance is seeded, so that a measurement is the same each time; the harness itself agrees
// with Chen's closed form; the View and the reference agree beat for beat; each rule that is switched off breaks a promise.
//
// Nothing here is concurrent. "make detector-table" writes the table of docs/performance.md.
package detect
