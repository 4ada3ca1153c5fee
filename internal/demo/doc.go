// Package demo is holter demo: three monitors, six agents and a small shop on one machine, each a process of its own, and a
// client that asks the shop 20 times a second, so that a failover is seen as users see it.
//
// Nothing is staged: monitors and agents are the real ones, re-executed from this very binary with config files as an
// operator would write them; a host is killed by SIGKILL of its agent and of everything that runs on it; all that is told
// comes from the monitors' API and from the client.
//
// Invariants: nothing outlives the demo. However it ends, no process and no port is left, because every child dies with it;
// however it ends save by SIGKILL, no file is left either, and the next demo removes the files of one that was killed. Two
// demos do not meet: each has a block of loopback addresses of its own.
//
// Concurrency: one goroutine (demo.loop) owns what is known and does everything; the client, the event stream, the looks at
// the API and the keyboard have goroutines that hand over what they got, and that the loop waits for.
package demo
