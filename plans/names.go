package plans

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxName is the length of the longest name.
const maxName = 63

// validName says whether s can be the name of a host, site, workload, plan, step or cluster: it goes into file names,
// subjects and commands as it is.
func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// named checks a name, which may be a key, and says whether it is one.
func (v value) named(what, s string, at spot) bool {
	if validName(s) {
		return true
	}
	hint := "lower-case letters, digits and hyphens, at most 63"
	if better := nameFrom(s); better != "" {
		hint = "write " + better
	}
	v.file.mistake(at, codeName, hint, quote(s)+" cannot be the name of "+what)
	return false
}

// nameFrom makes a name of what somebody wrote, empty if too little is left of it.
func nameFrom(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < 128 && (isLower(byte(r)) || isDigit(byte(r))): //nolint:gosec // below 128
			return r
		case strings.ContainsRune(" -_./:", r):
			return '-'
		}
		return -1
	}, strings.ToLower(s))
	s = strings.Trim(s, "-")
	if !validName(s) {
		return ""
	}
	return s
}

// newName reads the name that a thing is given.
func (v value) newName(what string) string {
	if s := v.text(); s != "" && v.named(what, s, v.spot()) {
		return s
	}
	return ""
}

// keyName reads the name that a thing is given by its key. A bad one is answered too: it can be referred to, so that each
// mistake is noted once.
func (v value) keyName(what string) string {
	v.named(what, v.name, nodeSpot(v.key))
	return v.name
}

// noun is what a name refers to, for mistakes.
type noun struct {
	what string
	code string
}

// What the inventory has names for.
var (
	nounSite     = noun{"site", codeNoSite}
	nounHost     = noun{"host", codeNoHost}
	nounWorkload = noun{"workload", codeNoWorkload}
)

// refer says whether one of the things has the name that the value gives, and notes a mistake if none has.
func refer[T any](v value, name string, things map[string]T, n noun) bool {
	_, ok := things[name]
	if !ok && name != "" {
		hint := ""
		if v.file.lint.compared < maxCompared {
			hint = v.file.lint.didYouMean(name, slices.Sorted(maps.Keys(things)))
		}
		v.mistake(n.code, hint, "%s %s is not in the inventory", n.what, quote(name))
	}
	return ok
}

// isHostAddress says whether s is an IP address or a host name.
func isHostAddress(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(strings.ToLower(s), "."), ".") {
		if !validName(label) {
			return false
		}
	}
	return true
}

// isPort says whether s is the number of a port.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// maxCompared is how many pairs of words are looked at for hints over all files, so that many mistakes stay cheap.
const maxCompared = 50_000

// didYouMean is the hint that names the candidate nearest to a word, empty if none is near.
func (l *linter) didYouMean(word string, candidates []string) string {
	if best := l.nearest(word, candidates); best != "" {
		return "did you mean " + quote(best) + "?"
	}
	return ""
}

func (l *linter) nearest(word string, candidates []string) string {
	best, least := "", max(1, min(len(word), maxName)/3)+1
	for _, c := range candidates {
		if len(word) > 2*maxName || l.compared >= maxCompared {
			break
		}
		l.compared++
		if len(c)-len(word) >= least || len(word)-len(c) >= least {
			continue
		}
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is how many letters to insert, drop, replace or swap with their neighbour to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
