// Package agent is Holter's part on each host: it beats, joins, holds the host's lease, reports what runs here, and takes
// commands, each of which it journals, does once and answers.
//
// Invariants:
//   - Beats and renewals wait for nothing: not for the disk, not for a driver, not for the loop.
//   - Nothing is done under another incarnation or host epoch than the present one, nor after its time, nor for a token
//     older than the newest one seen for that workload; and, stops apart, nothing without a lease that a majority has
//     confirmed under this epoch. There is one place that is asked: authority.
//   - An exclusive workload is started only after the guard goes by orders that name it, if the host fences itself. The
//     lease is looked at before and after: what was started too late is killed at once.
//   - On a host that fences itself, nothing exclusive runs after the end of the lease: it is stopped in time, and killed in
//     the end. On any other host, and of what is not exclusive, nothing is stopped for it.
//   - An agent that has begun to ask for an epoch acts under none. It says what runs here only once everything is proven gone
//     that has no lease under the terms of the offer, and once the guard and its own successor would know of the answer.
//   - Gone means stopped, with nothing left to kill, and nothing being done that may still start it.
//   - A command is in the journal before it is begun and its result before it is answered. A known id is answered from
//     the journal and never done again; one that was begun and not ended (the agent died) is done again only if it is a
//     start or a stop, which are idempotent, or is declared idempotent, and only when the monitors send it again under
//     the present epoch. At its own start the agent stops only what has no lease any more.
//   - What runs under a token of the journal is listed in every Join until it is proven gone; "cannot tell" is not proof.
//     What the newest Assignment does not bear out is stopped. What was merely found running is never touched.
//   - The end of the agent is not the end of its workloads, nor of the lease: its successor goes on with both.
//
// Concurrency: the loop (Agent.Run) owns all state and the journal. Commands and looks at workloads run in goroutines of
// their own, at most one command and one look per workload, and hand what came of them back to the loop. The beats have
// their own goroutine, which shares one number with the loop: the interval. So have the lease (keeper) and the talk with the
// guard (orders), which the loop and the commands share under a mutex each; the one of orders is taken first.
package agent
