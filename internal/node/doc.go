// Package node composes one monitor process or one agent process from its parts. It is the only place where the parts
// meet: configuration in, a running process out.
//
// Invariants: everything that can be refused (a config mistake, an address that is not safe, a port in use, a data
// directory that cannot be used) is refused before anything runs; what was started is stopped again when the rest fails.
//
// Concurrency: Run functions block until ctx ends or a part fails, and wait for every part.
package node
