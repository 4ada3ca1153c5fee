// Package lease is the protocol by which a host may run exclusive workloads, as pure code: Holder is the agent's side,
// Granter a monitor's side, Terms the numbers, and Takeover the time after which a silent host runs nothing any more.
//
// An agent asks all monitors to renew, with a stamp of its own clock; each that finds the host in force answers with that
// stamp. The newest stamp that a majority has answered, plus the length, is when the lease ends: the agent has stopped by
// then what is exclusive, and the guard or the watchdog sees to it. A monitor that has seen the host's epoch revoked answers
// no more, and when it has not answered for Takeover it says so: a majority of such reports proves that nothing of that
// epoch runs, because every majority that could have renewed the lease has a member among them.
//
// Nothing is written to disk for a renewal, and a change of leaders costs nothing: the leases live in the memories of all
// monitors. A monitor that was restarted counts its own start as its last answer.
//
// Invariants: a lease never ends later than the newest stamp that a majority of the voters answered under the present
// incarnation and epoch, plus the shortest length that was in force since; a Granter never reports earlier than Takeover
// after its last answer to any incarnation of the host.
//
// All times are CLOCK_BOOTTIME of the machine that reads them and are never compared with another machine's.
//
// Concurrency: none. Each Holder and Granter has one owner.
package lease
