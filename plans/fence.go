package plans

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds and defaults of fence devices.
const (
	maxLevels           = 8
	maxDevices          = 4 // in a level
	maxOptions          = 64
	maxFenceAttempts    = 10
	defaultFence        = 30 * time.Second
	leastFence          = time.Second
	defaultFenceTries   = 2
	fenceAgentPrefix    = "fence_"
	fenceWhat           = "write [{agent: fence_ipmilan, options: {ip: …}}]"
	allTogether         = "write {all: [{agent: …}, {agent: …}]}"
	fenceAgentForm      = "write the program's name, such as fence_ipmilan"
	optionForm          = "letters, digits and . _ -"
	distinctDeviceNames = "give one of them a name: of its own"
)

// readFence reads the fence devices of a host, level by level.
func (v value) readFence() []FenceLevel {
	entries := v.entries(fenceWhat)
	if v.isList() && (len(entries) == 0 || len(entries) > maxLevels) {
		v.mistake(codeBounds, "leave the field out if there is no device", "there must be 1 to %d levels", maxLevels)
		return nil
	}
	names := make(map[string]bool)
	var levels []FenceLevel
	for _, e := range entries {
		levels = append(levels, e.fenceLevel(names))
	}
	return levels
}

// fenceLevel reads one device, or several that must all confirm.
func (v value) fenceLevel(names map[string]bool) FenceLevel {
	var level FenceLevel
	if !v.gives("all") {
		return FenceLevel{Devices: []FenceDevice{v.fenceDevice(names)}}
	}
	t := v.table(shape{fields: []string{"all", "one_by_one"}})
	t.opt("one_by_one", func(v value) { level.OneByOne = v.boolean() })
	t.need("all", func(v value) {
		entries := v.entries(allTogether)
		if v.isList() && (len(entries) < 2 || len(entries) > maxDevices) {
			v.mistake(codeBounds, allTogether, "all must list 2 to %d devices", maxDevices)
			return
		}
		for _, e := range entries {
			level.Devices = append(level.Devices, e.fenceDevice(names))
		}
	})
	return level
}

func (v value) fenceDevice(names map[string]bool) FenceDevice {
	d := FenceDevice{Timeout: defaultFence, Attempts: defaultFenceTries}
	t := v.table(shape{fields: []string{"name", "agent", "options", "timeout", "attempts"}})
	named := v
	t.need("agent", func(v value) {
		named, d.Agent = v, v.text()
		if d.Agent != "" && !fenceAgent.MatchString(d.Agent) {
			v.mistake(codeForm, fenceAgentForm, "%s is not the name of a fence agent", quote(d.Agent))
			return
		}
		d.Name = nameFrom(strings.TrimPrefix(d.Agent, fenceAgentPrefix))
	})
	t.opt("name", func(v value) { d.Name, named = v.newName("a fence device"), v })
	if d.Name != "" && names[d.Name] {
		named.mistake(codeDefined, distinctDeviceNames, "two fence devices of one host are called %s", quote(d.Name))
	}
	names[d.Name] = true
	t.opt("options", func(v value) { d.Options = v.fenceOptions() })
	t.opt("timeout", func(v value) { v.duration(&d.Timeout, leastFence) })
	t.opt("attempts", func(v value) { v.integer(&d.Attempts, maxFenceAttempts) })
	return d
}

// fenceOptions reads what the agent is told. Numbers and truth values are their text.
func (v value) fenceOptions() map[string]string {
	options := make(map[string]string)
	entries := v.open().entries
	if len(entries) > maxOptions {
		v.mistake(codeBounds, "", "there are more than %d options", maxOptions)
		return options
	}
	for _, e := range entries {
		name := strings.ToLower(strings.ReplaceAll(e.name, "-", "_")) // to an agent they are the same
		file, inFile := strings.CutSuffix(name, "_file")
		switch {
		case !optionName.MatchString(e.name):
			e.onKey(codeName, optionForm, "%s cannot be the name of an option", quote(e.name))
		case slices.Contains(reservedOptions(), name):
			e.onKey(codeForm, "leave it out", "%s is what Holter itself tells the agent", quote(e.name))
		case isSecret(name):
			e.mistake(codeSecret, "write it in a file on the monitors and name that: "+e.name+"_file: /etc/holter/secrets/…", "%s stands here in clear, and so in the log of all monitors", quote(e.name))
		case inFile && isSecret(file) && !path.IsAbs(e.node.Value):
			e.mistake(codeSecret, "write the path of the file on the monitors, from / on", "%s must be an absolute path", quote(e.name))
		default:
			options[e.name] = e.scalar()
		}
	}
	return options
}

// scalar reads a text, number or truth value as its text.
func (v value) scalar() string {
	if v.isScalar() && contains([]string{"!!int", "!!float", "!!bool"}, v.node.Tag) {
		return v.node.Value
	}
	return v.line()
}

// The names that agents and their options have.
var (
	fenceAgent = regexp.MustCompile(`^fence_[A-Za-z0-9][A-Za-z0-9_.+-]{0,56}$`)
	optionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	secretName = regexp.MustCompile(`passw|secret|token|api_?key|private_?key|community`)
	// openName is of options that say where or how to find a secret.
	openName = regexp.MustCompile(`_(file|script|path|prot|timeout)$`)
)

// isSecret says whether an option holds a secret.
func isSecret(option string) bool {
	return secretName.MatchString(option) && !openName.MatchString(option)
}

// reservedOptions say what an agent is to do.
func reservedOptions() []string {
	return []string{"action", "option", "agent", "help", "version", "usage"}
}
