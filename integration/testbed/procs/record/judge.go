package record

import (
	"fmt"
	"strings"
	"time"
)

// The faults.
const (
	Overlap    = "ran twice"                 // two lives existed at once
	OlderToken = "began with an older token" // the second was started under a grant that the first had superseded
)

// Fault is something that must never happen to an exclusive workload.
type Fault struct {
	What          string
	First, Second ID            // two of its lives, in the order in which they began
	At            time.Duration // when it was seen
}

// String names both lives with their hosts, tokens and times.
func (f Fault) String() string {
	return fmt.Sprintf("%s %s: seen at %v, on %s and on %s", f.First.Workload, f.What, f.At, f.First.where(), f.Second.where())
}

func (id ID) where() string {
	return fmt.Sprintf("%s (token %d, since %v)", id.Host, id.Token, id.Since)
}

// Judge finds the faults in a record, all of whose workloads are taken to be exclusive. Lines are in the order of their times.
func Judge(lines []Line) []Fault {
	var faults []Fault
	newest := map[string]ID{} // the life that began last, by workload
	known := map[[2]ID]bool{} // overlaps: two that begin together may each see the other
	for _, line := range lines {
		switch line.What {
		case Seen:
			pair := [2]ID{line.Other, line.ID}
			if line.ID.Since < line.Other.Since {
				pair = [2]ID{line.ID, line.Other}
			}
			if !known[pair] {
				known[pair] = true
				faults = append(faults, Fault{What: Overlap, First: pair[0], Second: pair[1], At: line.At})
			}
		case Started:
			if first, ok := newest[line.ID.Workload]; ok && line.ID.Token < first.Token {
				faults = append(faults, Fault{What: OlderToken, First: first, Second: line.ID, At: line.At})
			}
			newest[line.ID.Workload] = line.ID
		}
	}
	return faults
}

// Report is the faults, one a line; "" if there are none.
func Report(faults []Fault) string {
	var text strings.Builder
	for _, f := range faults {
		fmt.Fprintln(&text, f)
	}
	return text.String()
}
