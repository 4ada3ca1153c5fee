package fence

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// optionName is what an option may be called.
var optionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// reserved options say what an agent is to do; that is not for the operator to set.
var reserved = []string{"action", "option", "agent", "help", "version", "usage"}

// Metadata is what an agent says of itself.
type Metadata struct {
	Agent      string
	Summary    string
	Parameters []Parameter // in the agent's order
	Actions    []string
	// Fabric agents cut a host off from storage or a network; its programs run on.
	Fabric bool
}

// Parameter is an option that an agent has.
type Parameter struct {
	Name       string
	Type       string // string, boolean, integer, second or select
	Default    string
	Choices    []string // of a select
	Summary    string
	Required   bool
	Deprecated bool   // another parameter obsoletes it
	Obsoletes  string // the old name of this parameter
	Secret     bool   // never to be shown. Agents do not say so themselves; the name decides
}

// parameter finds a parameter by its name.
func (m Metadata) parameter(name string) (Parameter, bool) {
	i := slices.IndexFunc(m.Parameters, func(p Parameter) bool { return canonical(p.Name) == canonical(name) })
	if i < 0 {
		return Parameter{}, false
	}
	return m.Parameters[i], true
}

// aliases are all names of one parameter.
func (m Metadata) aliases(p Parameter) []string {
	names := []string{p.Name}
	for _, q := range m.Parameters {
		if q.Name != p.Name && (q.Obsoletes == p.Name || p.Obsoletes == q.Name) {
			names = append(names, q.Name)
		}
	}
	return names
}

// can says whether the agent has an action.
func (m Metadata) can(action string) bool { return slices.Contains(m.Actions, action) }

// secretName and openName tell secrets by their names: what the first finds, unless the second does too.
var (
	secretName = regexp.MustCompile(`passw|secret|token|api_?key|private_?key|community|hexadecimal_kg`)
	openName   = regexp.MustCompile(`_(file|script|path|prot|timeout)$`)
)

func isSecret(name string) bool {
	name = strings.ToLower(canonical(name))
	return secretName.MatchString(name) && !openName.MatchString(name)
}

// known is the metadata of an agent as it was when its program had this time and size.
type known struct {
	modified time.Time
	size     int64
	metadata Metadata
}

// Metadata asks an agent which options and actions it has. The answer is kept until the program changes.
func (r *Runner) Metadata(ctx context.Context, agent string) (Metadata, error) {
	path, err := r.find(agent)
	if err != nil {
		return Metadata{}, err
	}
	return r.metadata(ctx, agent, path)
}

func (r *Runner) metadata(ctx context.Context, agent, path string) (Metadata, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Metadata{}, err
	}
	r.mu.Lock()
	k, ok := r.known[path]
	r.mu.Unlock()
	if ok && k.modified.Equal(info.ModTime()) && k.size == info.Size() {
		return k.metadata, nil
	}
	o, err := run(ctx, process{path: path, args: []string{"-o", "metadata"}, stdin: "action=metadata\n", limit: metadataLimit})
	if err != nil || o.code != 0 {
		return Metadata{}, fmt.Errorf("ask for its options: %w", o.failed(agent, err, secrets{}))
	}
	m, err := parseMetadata(o.stdout.kept)
	if err != nil {
		return Metadata{}, fmt.Errorf("ask for its options: %w", o.failed(agent, err, secrets{}))
	}
	m.Agent = agent
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[path] = known{modified: info.ModTime(), size: info.Size(), metadata: m}
	return m, nil
}

// document is the XML that agents print.
type document struct {
	XMLName    xml.Name `xml:"resource-agent"`
	Summary    string   `xml:"shortdesc,attr"`
	Parameters []struct {
		Name       string `xml:"name,attr"`
		Required   string `xml:"required,attr"`
		Deprecated string `xml:"deprecated,attr"`
		Obsoletes  string `xml:"obsoletes,attr"`
		Content    struct {
			Type    string `xml:"type,attr"`
			Default string `xml:"default,attr"`
			Options []struct {
				Value string `xml:"value,attr"`
			} `xml:"option"`
		} `xml:"content"`
		Summary string `xml:"shortdesc"`
	} `xml:"parameters>parameter"`
	Actions []struct {
		Name      string `xml:"name,attr"`
		Automatic string `xml:"automatic,attr"`
	} `xml:"actions>action"`
}

func parseMetadata(b []byte) (Metadata, error) {
	var doc document
	if err := xml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil {
		return Metadata{}, fmt.Errorf("read its metadata: %w", err)
	}
	m := Metadata{Summary: strings.TrimSpace(doc.Summary)}
	for _, p := range doc.Parameters {
		q := Parameter{
			Name: p.Name, Type: p.Content.Type, Default: p.Content.Default, Summary: strings.Join(strings.Fields(p.Summary), " "),
			Required: p.Required == "1", Deprecated: p.Deprecated == "1", Obsoletes: p.Obsoletes, Secret: isSecret(p.Name),
		}
		for _, c := range p.Content.Options {
			q.Choices = append(q.Choices, c.Value)
		}
		m.Parameters = append(m.Parameters, q)
	}
	for _, a := range doc.Actions {
		m.Actions = append(m.Actions, a.Name)
		// Hosts join a fabric by themselves when they come up; nobody switches power on from within.
		m.Fabric = m.Fabric || a.Name == "on" && a.Automatic == "1"
	}
	if len(m.Actions) == 0 {
		return Metadata{}, errors.New("its metadata lists no actions")
	}
	return m, nil
}
