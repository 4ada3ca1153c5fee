// Package arch holds the tests of the code's own shape: which package may import which, which packages are pure, which
// library belongs into which room. It has no code of its own.
//
// Invariant: the table in its test is the table of docs/architecture.md. Concurrency: none.
package arch
