// Package agent is Holter's part on each host: it beats, joins, reports what runs here, and takes commands, each of which
// it journals, does once and answers.
//
// Invariants:
//   - Beats wait for nothing: not for the disk, not for a driver, not for the loop.
//   - Nothing is done under another incarnation or host epoch than the present one, nor after its time, nor for a token
//     older than the newest one seen for that workload. There is one place that is asked: authority.
//   - A command is in the journal before it is begun and its result before it is answered. A known id is answered from
//     the journal and never done again; one that was begun and not ended (the agent died) is done again only if it is a
//     start or a stop, which are idempotent, or is declared idempotent, and only when the monitors send it again under
//     the present epoch. At its own start the agent does nothing to any workload.
//   - What runs under a token of the journal is listed in every Join until it is proven gone; "cannot tell" is not proof.
//     What the newest Assignment does not bear out is stopped. What was merely found running is never touched.
//   - The end of the agent is not the end of its workloads.
//
// Concurrency: the loop (Agent.Run) owns all state and the journal. Commands and looks at workloads run in goroutines of
// their own, at most one command and one look per workload, and hand what came of them back to the loop. The beats have
// their own goroutine, which shares one number with the loop: the interval.
package agent
