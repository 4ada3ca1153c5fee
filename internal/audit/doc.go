// Package audit keeps what one monitor applies in files of JSON lines that are only ever appended to, and proves later that
// nobody has changed them. docs/audit.md describes the format and what it proves.
//
// # Invariants
//
//   - The lines are in the order of the log. Each entry's chain is the link that planner.Link makes of its bytes; what is
//     missing between two entries is a gap line of its own. No entry is written twice.
//   - Applying never waits for the disk: the queue is bounded, and what does not fit in is a gap.
//   - A file is never overwritten and never deleted. A last line that a crash left half written is cut off.
//   - Verify believes nothing that it has not computed: neither check sums nor indexes nor names of files.
//
// # Concurrency
//
// A Log's methods may be called from any goroutine. One goroutine writes; it alone touches the file. Verify and Export are
// plain functions.
package audit
