// Package monitor is the loop of one monitor: it hears beats and answers, keeps its view, and while it leads it asks
// planner.Decide what should happen and carries that out: proposals to the log, commands and assignments to agents.
//
// Invariants: a command is sent only for a StepStarted that is committed; nothing is proposed or sent unless this monitor
// leads, in its own term; the loop never waits for the log, the bus or an agent.
//
// Concurrency: one goroutine, Run, owns the view. Callbacks of the bus decode and hand over; their queues are bounded and
// drop the oldest, because a newer beat, status or repeated command makes up for each. Proposals run in goroutines of
// their own, at most maxProposals at once, one per intent key.
package monitor
