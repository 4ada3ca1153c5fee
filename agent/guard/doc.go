// Package guard is the small process that kills exclusive workloads when their host's lease ends, whoever is alive then.
//
// The agent leaves Orders in a directory of this boot (Link): until when what is exclusive may run, and how to kill it. The
// guard (Run) reads them, says in its Word that it goes by them, and kills by them (Killer; Machine is the real one) once
// boot time has passed their end, within lease.GuardKill. It goes by the lease and not by the agent's health: an agent that
// crashes or is upgraded costs nothing while the lease lasts. Under lease.Watchdog it also pets the machine's watchdog while
// the lease lasts, so that a machine on which even the guard does not run any more is reset.
//
// Invariants: the guard goes by the valid orders of this boot with the highest number that it has read, even if the file is
// damaged or gone by now, and even across its own restart; it asks nobody before it kills; it kills again for as long as
// such orders stand, because a service manager may start a workload again; a workload counts as killed only when it is
// proven gone; the watchdog is never petted, nor opened, after the end of a lease with charges.
//
// Concurrency: the agent's end and the guard are two processes that share two files, each written by one of them and replaced
// whole. In the guard one loop owns everything; each killing runs in a goroutine of its own, so that one that hangs holds
// nothing else up.
package guard
