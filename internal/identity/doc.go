// Package identity is who is who: the certificates of a cluster's own authority, the agents' nkeys, join tokens and API
// tokens.
//
// A root, whose key stays with the operator, signs one issuer for each monitor; issuers sign everybody else. A certificate
// names its holder in its one URI, holter:///KIND/NAME, and only a monitor's may be a server's. Private keys are made where
// they are used and never leave there.
//
// Invariants: files with secrets are readable by their owner only, and are whole or not there; secrets are compared in
// constant time, and only their hashes are kept by others; nothing here logs.
//
// Concurrency: a Party may be used by many goroutines; everything else is immutable once made.
package identity
