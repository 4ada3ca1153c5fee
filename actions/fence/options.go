package fence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// secretLimit bounds a file that holds the value of an option, in bytes.
const secretLimit = 64 << 10

// input is a device's options as its agent reads them, and what of them must not be shown.
type input struct {
	lines string // NAME=VALUE
	hide  secrets
}

// canonical is the one name of an option: agents take a - for a _.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// fileOption tells of NAME_file the option NAME whose value is in a file. An agent that has NAME_file reads the file itself.
func (m Metadata) fileOption(name string) (string, bool) {
	base, ok := strings.CutSuffix(canonical(name), "_file")
	if _, own := m.parameter(name); own || !ok {
		return "", false
	}
	_, ok = m.parameter(base)
	return base, ok
}

// readOptions reads the files that options name, and writes down all options for the agent.
func readOptions(m Metadata, options map[string]string) (input, error) {
	var (
		lines  strings.Builder
		hidden []string
		users  []string
		errs   []error
		given  = map[string]string{} // by canonical name: as it was given
	)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value, told := options[name], name
		p, known := m.parameter(name)
		if base, ok := m.fileOption(name); ok {
			told, known, p.Secret = base, true, true
			var err error
			if value, err = readSecret(value); err != nil {
				errs = append(errs, fmt.Errorf("option %s: %w", name, err))
				continue
			}
		}
		if err := checkOption(told, value); err != nil {
			errs = append(errs, fmt.Errorf("option %s: %w", name, err))
			continue
		}
		if other, twice := given[canonical(told)]; twice {
			errs = append(errs, fmt.Errorf("options %s and %s are the same: leave one out", other, name))
		}
		given[canonical(told)] = name
		fmt.Fprintf(&lines, "%s=%s\n", told, value)
		switch c := canonical(told); {
		case p.Secret || !known: // a misspelt password is one
			hidden = append(hidden, value)
		case c == "username" || c == "login":
			users = append(users, value)
		}
	}
	return input{lines: lines.String(), hide: newSecrets(hidden, users)}, errors.Join(errs...)
}

// errNotAPath does not show what was written: it may be the secret itself.
var errNotAPath = errors.New("not an absolute path: name the file that holds the value")

// readSecret reads the value of an option from a file; a line feed at its end does not belong to it.
func readSecret(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", errNotAPath
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, secretLimit+1))
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > secretLimit:
		return "", fmt.Errorf("%s has more than %d bytes", path, secretLimit)
	case value == "":
		return "", fmt.Errorf("%s is empty", path)
	}
	return value, nil
}

// checkOption says what is wrong with an option as a line of an agent's input. It never shows the value.
func checkOption(name, value string) error {
	switch {
	case !optionName.MatchString(name):
		return errors.New("not a name of an option")
	case slices.Contains(reserved, canonical(name)):
		return errors.New("the agent is told by Holter what to do: leave it out")
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("the value has a line break or another control character, which cannot be told to an agent")
	case strings.TrimSpace(value) != value:
		return errors.New("the value begins or ends with a space, which agents drop")
	case len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"':
		return errors.New("the value is in quotation marks, which agents drop")
	}
	return nil
}

// secrets knows what must not be shown.
type secrets struct {
	replacer *strings.Replacer
	longest  int // in bytes
}

// hiddenText is shown in place of a secret.
const hiddenText = "[hidden]"

// newSecrets prepares to hide values in all forms in which agents are known to print them.
func newSecrets(values, users []string) secrets {
	var forms []string
	add := func(s string) {
		if s != "" && !slices.Contains(forms, s) {
			forms = append(forms, s)
		}
	}
	for _, v := range values {
		if v == "" {
			continue
		}
		quoted := strconv.Quote(v)
		for _, form := range []string{
			v, url.QueryEscape(v), url.PathEscape(v), quoted[1 : len(quoted)-1],
			strings.ReplaceAll(v, `'`, `'"'"'`), strings.ReplaceAll(v, `'`, `'\''`), strings.ReplaceAll(v, `'`, `\'`),
		} {
			add(form)
		}
		for _, of := range append([]string{""}, users...) {
			plain := v
			if of != "" {
				plain = of + ":" + v // HTTP's basic authentication
			}
			add(base64.StdEncoding.EncodeToString([]byte(plain)))
			add(base64.URLEncoding.EncodeToString([]byte(plain)))
		}
	}
	// Of two that begin at one place the longer must win.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	s := secrets{}
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		s.longest = max(s.longest, len(form))
		pairs = append(pairs, form, hiddenText)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s
}

// in returns a text without its secrets.
func (s secrets) in(text string) string {
	if s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}
