package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Source is a file to verify.
type Source struct {
	Name string // for people
	R    io.Reader
}

// Cluster is what the cluster says of its log now.
type Cluster struct {
	Point
	// From is the index after which its chain begins. Nobody knows it of a link that was Noted once.
	From  uint64
	Noted bool
}

// Report is what Verify has found.
type Report struct {
	Trails []*Trail `json:"trails"` // one for each monitor, by name
	// Differ says where two monitors' files that are sound by themselves do not say the same.
	Differ []string `json:"differ,omitempty"`
}

// Trail is what one monitor's files say, one after the other, up to the first that is wrong.
type Trail struct {
	Monitor string   `json:"monitor"`
	Files   []string `json:"files"`
	Begin   Point    `json:"begin"`
	End     Point    `json:"end"`
	Entries int      `json:"entries"`
	Refused int      `json:"refused"`
	Gaps    []Gap    `json:"gaps,omitempty"`
	// Torn names a last line that has no end: it is being written, or a crash has cut it. It counts for nothing.
	Torn   string `json:"torn,omitempty"`
	Broken *Break `json:"broken,omitempty"`
	// Cluster says how the trail stands to what the cluster said of itself; empty when it was not asked.
	Cluster Standing `json:"cluster,omitempty"`

	points []point
	lines  []kept // only when they are kept for Merge
	keep   bool
}

// Gap is entries that a trail does not have.
type Gap struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	Why  string `json:"why"`
	// Confirmed says that others agree with the chain after the gap: what follows is the cluster's log.
	Confirmed bool `json:"confirmed"`
	// Closed names the monitor whose files have all that is missing; empty: nobody's.
	Closed string `json:"closed,omitempty"`

	former Point // at From - 1
	after  Point // at To
}

// Standing is how a trail stands to the cluster.
type Standing string

// The standings.
const (
	Agrees  Standing = "agrees"  // the trail has the place that the cluster is at, and the same chain there
	Behind  Standing = "behind"  // it ends before that place or has a gap there: nobody knows whether its end is the log's
	Differs Standing = "differs" // it has another chain there
)

// point is a Point that takes little room. What a trail says holds up to it, from the gap before it on.
type point struct {
	index uint64
	chain [32]byte
	gap   bool // it is the end of a gap
}

// Broken says whether anything is not as it was written.
func (r *Report) Broken() bool {
	return len(r.Differ) > 0 || slices.ContainsFunc(r.Trails, func(t *Trail) bool { return t.Broken != nil || t.Cluster == Differs })
}

// Verify reads the files of one monitor or several, in any order, computes every link and compares the monitors with each
// other, and with the cluster unless that is nil. The error is of reading; what is wrong with the files is in the report.
func Verify(sources []Source, cluster *Cluster) (*Report, error) {
	return verify(sources, cluster, false)
}

func verify(sources []Source, cluster *Cluster, keep bool) (*Report, error) {
	groups, err := grouped(sources)
	if err != nil {
		return nil, err
	}
	report := &Report{}
	for _, files := range groups {
		trail := &Trail{Monitor: files[0].header.Monitor, keep: keep}
		if err := trail.walk(files); err != nil {
			return nil, err
		}
		report.Trails = append(report.Trails, trail)
	}
	report.compare(cluster)
	return report, nil
}

// file is a source whose first line was read.
type file struct {
	name   string
	in     *lines
	header record
	broken *Break // the first line is no header
}

// grouped opens the sources and puts each monitor's in order. One that comes twice is a trail of its own.
func grouped(sources []Source) ([][]*file, error) {
	var files []*file
	for _, source := range sources {
		f := &file{name: source.Name, in: newLines(source.R, maxLine)}
		if err := f.begin(); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	slices.SortStableFunc(files, func(a, b *file) int {
		return cmp.Or(cmp.Compare(a.header.Monitor, b.header.Monitor), cmp.Compare(a.header.File, b.header.File))
	})
	var groups, twice [][]*file
	for _, f := range files {
		if len(groups) == 0 || groups[len(groups)-1][0].header.Monitor != f.header.Monitor || f.broken != nil {
			groups = append(groups, []*file{f})
			continue
		}
		last := &groups[len(groups)-1]
		if (*last)[len(*last)-1].header.File == f.header.File {
			twice = append(twice, []*file{f})
			continue
		}
		*last = append(*last, f)
	}
	return append(groups, twice...), nil
}

// begin reads the header.
func (f *file) begin() error {
	text, ended, err := f.in.next()
	switch {
	case err == io.EOF: //nolint:errorlint // next returns it as it is
		f.broken = &Break{File: f.name, Line: 1, Kind: Truncated, Text: "the file is empty"}
		return nil
	case err == errLong: //nolint:errorlint // next returns it as it is
		f.broken = &Break{File: f.name, Line: 1, Kind: Edited, Text: err.Error()}
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	r, err := decode(text)
	switch {
	case err != nil:
		f.broken = &Break{File: f.name, Line: 1, Kind: unreadable(err, ended), Text: "the header cannot be read: " + err.Error()}
	case r.Audit == 0:
		f.broken = &Break{File: f.name, Line: 1, Index: r.Index, Kind: Removed, Text: "the header is missing"}
	case !ended:
		f.broken = &Break{File: f.name, Line: 1, Kind: Truncated, Text: "the header has no line feed"}
	}
	f.header = r
	return nil
}

// compare sets the monitors' trails beside each other and beside the cluster.
func (r *Report) compare(cluster *Cluster) {
	for _, t := range r.Trails {
		if cluster != nil {
			t.Cluster = t.standing(*cluster)
		}
	}
	for i, a := range r.Trails {
		for _, b := range r.Trails[i+1:] {
			if index, differ := a.differs(b); differ {
				r.Differ = append(r.Differ, fmt.Sprintf("%s and %s do not say the same: first at #%d", a, b, index))
			}
		}
	}
	for _, t := range r.Trails {
		for i := range t.Gaps {
			r.close(t, &t.Gaps[i], cluster)
		}
	}
}

// String names the trail for people.
func (t *Trail) String() string {
	if t.Monitor == "" {
		return t.Files[0]
	}
	return t.Monitor
}

// standing compares the place that the cluster is at.
func (t *Trail) standing(c Cluster) Standing {
	if from, known := t.from(); t.End.Index < c.Index || known && !c.Noted && from != c.From {
		return Behind
	}
	at, has := t.at(c.Index)
	if has && hexed(at.chain) == c.Chain {
		return Agrees
	}
	if !has && t.within(c.Index) {
		return Behind // it is in a gap
	}
	return Differs
}

// at is the trail's point at an index.
func (t *Trail) at(index uint64) (point, bool) {
	i, has := slices.BinarySearchFunc(t.points, index, func(p point, index uint64) int { return cmp.Compare(p.index, index) })
	if !has {
		return point{}, false
	}
	return t.points[i], true
}

// within says that an index is before the trail begins, or in a gap.
func (t *Trail) within(index uint64) bool {
	return index <= t.Begin.Index || slices.ContainsFunc(t.Gaps, func(g Gap) bool { return g.From <= index && index <= g.To })
}

// from is the index after which the chain begins, where the trail shows it. Chains that begin at different places, which is so
// for monitors that are older than chains, cannot be compared.
func (t *Trail) from() (index uint64, known bool) {
	for _, p := range t.points {
		if p.chain == ([32]byte{}) {
			index, known = p.index, true
		}
	}
	return index, known
}

// differs finds the first index that two trails have with different chains. Where one has a place that the other has not,
// the next one that both have tells.
func (t *Trail) differs(other *Trail) (uint64, bool) {
	from, known := t.from()
	if otherFrom, otherKnown := other.from(); known && otherKnown && from != otherFrom {
		return 0, false
	}
	for _, p := range t.points {
		if q, has := other.at(p.index); has && q.chain != p.chain {
			return p.index, true
		}
	}
	return 0, false
}

// close finds out who has what a gap of t's is missing, and whether what follows it is the cluster's log.
func (r *Report) close(t *Trail, g *Gap, cluster *Cluster) {
	followed := t.segment(g.To)
	g.Confirmed = cluster != nil && slices.ContainsFunc(followed, func(p point) bool {
		return p.index == cluster.Index && hexed(p.chain) == cluster.Chain
	})
	for _, other := range r.Trails {
		if other == t {
			continue
		}
		for _, p := range followed {
			q, has := other.at(p.index)
			g.Confirmed = g.Confirmed || has && q.chain == p.chain
		}
		if other.covers(*g) {
			g.Closed, g.Confirmed = other.String(), true
		}
	}
}

// segment is the points from the end of a gap on, up to the next gap.
func (t *Trail) segment(end uint64) []point {
	first, _ := slices.BinarySearchFunc(t.points, end, func(p point, index uint64) int { return cmp.Compare(p.index, index) })
	segment := t.points[first:]
	for i := 1; i < len(segment); i++ {
		if segment[i].gap {
			return segment[:i]
		}
	}
	return segment
}

// covers says that the trail leads from the place before a gap to its end without a gap of its own.
func (t *Trail) covers(g Gap) bool {
	before := g.former == t.Begin
	if p, has := t.at(g.former.Index); has && hexed(p.chain) == g.former.Chain {
		before = true
	}
	after, has := t.at(g.To)
	return before && has && hexed(after.chain) == g.after.Chain &&
		!slices.ContainsFunc(t.Gaps, func(own Gap) bool { return own.From <= g.To && g.From <= own.To })
}
