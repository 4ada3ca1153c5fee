// Package plans is the language of the files that operators write: inventory (what there is) and plan (what to do).
//
// Decode reads any number of files and answers with either a whole, checked and compiled Set or every mistake at once, each
// with file, line, column, a caret and a remedy. A Set that was returned is valid: references exist, nothing is cyclic,
// every default is filled in, every limit holds. The types here are that compiled form; they travel in the log as JSON.
//
// Invariants: no clock, no randomness, no I/O; the same bytes compile to the same Set, byte for byte; nothing is ignored:
// a field that is not understood is a mistake.
//
// Concurrency: values, no shared state. A compiled Inventory or Plan is never changed after Decode returned it.
package plans
