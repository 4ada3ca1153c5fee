package fence

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// notPower are agents whose off leaves a host's programs running, though their metadata do not show it.
var notPower = map[string]string{
	"fence_crosslink": "takes a host that answers no ping for off",
	"fence_evacuate":  "moves virtual machines and cuts no power",
}

// Check lists a device's mistakes, in words for its owner: an agent that cannot do or prove what is wanted of it, options that
// it does not know, has not got or cannot read, secrets in clear. m is what the agent says of itself; no file is read.
func Check(m Metadata, d Device) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if !agentName.MatchString(d.Agent) {
		say("agent %q: %v", d.Agent, errAgentName)
	}
	switch why, no := notPower[d.Agent]; {
	case no:
		say("%s %s: it is no proof that the host runs nothing", d.Agent, why)
	case !m.can("off"):
		say("%s cannot switch off: it has only %s", d.Agent, strings.Join(m.Actions, ", "))
	case !m.can("status"):
		say("%s cannot say whether the power is off, so that it proves nothing: it has only %s", d.Agent, strings.Join(m.Actions, ", "))
	case m.Fabric:
		say("%s cuts off storage or a network, not power: the host's programs run on", d.Agent)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Options)) {
		all = append(all, m.checkOption(d, name)...)
	}
	all = append(all, m.checkNames(d)...)
	if wait := d.seconds(m, "delay") + d.seconds(m, "power_wait"); d.Timeout > 0 && wait >= d.Timeout-d.reserve() {
		say("delay and power_wait take %v of the timeout of %v, which leaves no time to switch off: give the device more time", wait, d.Timeout)
	}
	return all
}

// checkOption lists the mistakes of one option.
func (m Metadata) checkOption(d Device, name string) []string {
	value := d.Options[name]
	if _, inFile := m.fileOption(name); inFile {
		if !strings.HasPrefix(value, "/") {
			return []string{fmt.Sprintf("option %s: %v", name, errNotAPath)}
		}
		return nil
	}
	if err := checkOption(name, value); err != nil {
		return []string{fmt.Sprintf("option %s: %v", name, err)}
	}
	p, ok := m.parameter(name)
	if !ok {
		return []string{fmt.Sprintf("option %s: %s has no such option%s", name, d.Agent, m.didYouMean(name))}
	}
	var all []string
	if p.Secret && value != "" {
		all = append(all, fmt.Sprintf("option %s: a secret stands here for everybody to read: write it to a file on the monitors, "+
			"and give that as %s_file", name, p.Name))
	}
	if why := p.invalid(value); why != "" {
		all = append(all, fmt.Sprintf("option %s: %s", name, why))
	}
	switch c := canonical(name); {
	case (c == "verbose" || c == "debug" || c == "debug_file" || c == "verbose_level") && value != "0" && !isNo(value):
		all = append(all, fmt.Sprintf("option %s: agents may write passwords to logs with it: use it by hand only", name))
	case c == "missing_as_off" && !isNo(value):
		all = append(all, fmt.Sprintf("option %s: a misspelt plug would count as a host that is off", name))
	}
	return all
}

// checkNames lists required options that are not given, and such as are given by more than one name.
func (m Metadata) checkNames(d Device) []string {
	var all []string
	for _, p := range m.Parameters {
		if p.Deprecated || slices.Contains(reserved, canonical(p.Name)) {
			continue // its replacement stands for it
		}
		var given []string
		for _, name := range slices.Sorted(maps.Keys(d.Options)) {
			option := canonical(name)
			if base, ok := m.fileOption(name); ok {
				option = base
			}
			if slices.ContainsFunc(m.aliases(p), func(a string) bool { return canonical(a) == option }) {
				given = append(given, name)
			}
		}
		switch {
		case len(given) > 1:
			all = append(all, fmt.Sprintf("options %s are the same: leave all but one out", strings.Join(given, ", ")))
		case len(given) == 0 && p.Required && p.Default == "":
			all = append(all, fmt.Sprintf("option %s is missing: %s needs it (%s)", p.Name, d.Agent, p.Summary))
		}
	}
	return all
}

var (
	yes = []string{"1", "yes", "on", "true"}
	no  = []string{"0", "no", "off", "false"}
)

func isNo(value string) bool { return slices.Contains(no, strings.ToLower(value)) }

// invalid says why an agent would not take a value, or would silently leave it out.
func (p Parameter) invalid(value string) string {
	_, notNumber := strconv.Atoi(value)
	_, notSeconds := strconv.ParseFloat(value, 64)
	switch {
	case p.Type == "boolean" && !slices.Contains(yes, strings.ToLower(value)) && !isNo(value):
		return fmt.Sprintf("%q is neither yes (%s) nor no (%s)", value, strings.Join(yes, ", "), strings.Join(no, ", "))
	case p.Type == "integer" && notNumber != nil:
		return fmt.Sprintf("%q is not a whole number", value)
	case p.Type == "second" && notSeconds != nil:
		return fmt.Sprintf("%q is not a number of seconds", value)
	case p.Type == "select" && len(p.Choices) > 0 && !slices.Contains(p.Choices, value):
		return fmt.Sprintf("%q is none of %s", value, strings.Join(p.Choices, ", "))
	}
	return ""
}

// seconds is an option's value, or its default.
func (d Device) seconds(m Metadata, name string) time.Duration {
	p, _ := m.parameter(name)
	text := p.Default
	if v, ok := d.Options[name]; ok {
		text = v
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// didYouMean names the option that is most like a name, if there is one.
func (m Metadata) didYouMean(name string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, p := range m.Parameters {
		if n := distance(canonical(name), canonical(p.Name)); n < least && !p.Deprecated {
			best, least = p.Name, n
		}
	}
	if file, ok := strings.CutSuffix(canonical(name), "_file"); ok && best == "" {
		return m.didYouMean(file)
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance counts the letters to be put in, taken out or changed to make one word of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
