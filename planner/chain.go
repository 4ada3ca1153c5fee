package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// The log as a hash chain. Each entry's link is the SHA-256 over the link before it, the entry's index and its bytes as they
// stand in the log, with a line feed between the three; an entry that was refused has its link hashed once more, so that
// nobody can turn what was refused into what was done. The first entry follows the empty link.
//
// The link is of bytes that Apply never sees, so whoever has them sets it: the machine that applies the log.

// Link is the link of an entry that follows a former one.
func Link(former string, index uint64, raw []byte) string {
	h := sha256.New()
	h.Write([]byte(former))
	h.Write([]byte("\n" + strconv.FormatUint(index, 10) + "\n"))
	h.Write(raw)
	return hex.EncodeToString(h.Sum(nil))
}

// LinkRefused makes the link of an entry that of a refused one.
func LinkRefused(link string) string {
	sum := sha256.Sum256([]byte(link + "\nrefused"))
	return hex.EncodeToString(sum[:])
}

// Chained returns s with the chain of the state before it continued by the entry that led from there to s. Where the former
// state has no chain, which is so for one that was written by an older program, the chain begins after it.
func (s *State) Chained(former *State, raw []byte, refused bool) *State {
	next := *s
	next.Chain = Link(former.Chain, s.Index, raw)
	if refused {
		next.Chain = LinkRefused(next.Chain)
	}
	if former.Chain == "" {
		next.ChainFrom = former.Index
	}
	return &next
}
