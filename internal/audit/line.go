package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/holter-ha/holter/planner"
)

// formatVersion is the version of the lines.
const formatVersion = 1

// maxLine bounds the bytes of a line: an entry may have 8 MiB, which become a third more where they are not plain JSON.
const maxLine = 16 << 20

// Point is a place in the log: the index of an entry and its link. The zero Point is before the first entry.
type Point struct {
	Index uint64 `json:"index"`
	Chain string `json:"chain"`
}

// record is one line: the header that each file begins with, an entry, or a gap. Index and Chain are the place in the log
// after the line: of a header where the file begins, of a gap where it ends.
type record struct {
	Audit   int    `json:"audit,omitempty"` // header: formatVersion
	Monitor string `json:"monitor,omitempty"`
	File    int    `json:"file,omitempty"` // header: which file of the monitor's this is, from 1

	Gap   *gap   `json:"gap,omitempty"`
	Index uint64 `json:"index"`

	Entry   json.RawMessage  `json:"entry,omitempty"`
	Raw     []byte           `json:"raw,omitempty"` // in place of Entry, where its bytes are not what JSON writers make
	Refused *planner.Refusal `json:"refused,omitempty"`
	Chain   string           `json:"chain"`
}

// gap says from which index on entries are missing, up to the line's own, and why.
type gap struct {
	From uint64 `json:"from"`
	Why  string `json:"why"`
}

// Why entries are missing.
const (
	gapSnapshot = "snapshot" // they came, or had been put away, in a snapshot
	gapQueue    = "queue"    // the disk was full or slow
	gapFile     = "file"     // said by Verify: a whole file is missing
)

func (r record) point() Point { return Point{r.Index, r.Chain} }

// raw is the entry as it stands in the log.
func (r record) raw() []byte {
	if r.Entry != nil {
		return r.Entry
	}
	return r.Raw
}

// linked is the link of an entry when it follows a former one.
func (r record) linked(former string) string {
	link := planner.Link(former, r.Index, r.raw())
	if r.Refused != nil {
		link = planner.LinkRefused(link)
	}
	return link
}

// entryRecord makes the line of an entry.
func entryRecord(p Point, raw []byte, refusal *planner.Refusal) record {
	r := record{Index: p.Index, Chain: p.Chain, Refused: refusal}
	if plain, err := json.Marshal(json.RawMessage(raw)); err == nil && bytes.Equal(plain, raw) {
		r.Entry = raw
	} else {
		r.Raw = raw
	}
	return r
}

// A line ends with the check sum of what is before it. It proves nothing: it tells what a crash or a careless hand has done
// from what only the chain shows.
const (
	sumBegins = `,"crc":"`
	sumEnds   = `"}`
	sumLength = len(sumBegins) + 8 + len(sumEnds)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode makes the line, with its line feed.
func (r record) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode line of #%d: %w", r.Index, err)
	}
	text = text[:len(text)-1]
	return fmt.Appendf(text, "%s%08x%s\n", sumBegins, crc32.Checksum(text, castagnoli), sumEnds), nil
}

// What is wrong with a line that cannot be read.
var (
	errCut   = errors.New("it has no end")
	errSum   = errors.New("it does not have its check sum")
	errShape = errors.New("it is not written as a monitor writes it")
)

// decode reads a line without its line feed. The record is given as far as it can be read even when it is not what was
// written.
func decode(text []byte) (r record, err error) {
	if len(text) < sumLength || !bytes.HasSuffix(text, []byte(sumEnds)) {
		return r, errCut
	}
	body := text[:len(text)-sumLength]
	sum := fmt.Appendf(nil, "%s%08x%s", sumBegins, crc32.Checksum(body, castagnoli), sumEnds)
	if !bytes.Equal(sum, text[len(body):]) {
		return r, errSum
	}
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &r); err != nil {
		return r, errShape
	}
	again, err := r.encode()
	if err != nil || !bytes.Equal(again[:len(again)-1], text) || !r.sound() {
		return r, errShape
	}
	return r, nil
}

// sound says that the line is a header, an entry or a gap, and not something between.
func (r record) sound() bool {
	switch {
	case r.Audit != 0:
		return r.Audit == formatVersion && r.Gap == nil && r.raw() == nil && r.Refused == nil && r.File > 0
	case r.Monitor != "" || r.File != 0:
		return false
	case r.Gap != nil:
		return r.raw() == nil && r.Refused == nil
	}
	return (r.Entry == nil) != (r.Raw == nil)
}
