package fence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	// outputLimit bounds what is kept of what an agent writes, in bytes, and metadataLimit of its metadata.
	outputLimit   = 64 << 10
	metadataLimit = 1 << 20
	// saidLimit bounds what of it goes into an error, in characters, and saidLines in lines.
	saidLimit = 400
	saidLines = 3
	// outputDelay is how long an agent's output is waited for when something that it left behind holds it open.
	outputDelay = time.Second
	// marker is the environment variable by which everything that an agent has started is found. Its value means nothing.
	marker = "HOLTER_FENCE_RUN="
)

// agentName is what may be run as an agent. The prefix keeps an inventory from naming just any program.
var agentName = regexp.MustCompile(`^fence_[A-Za-z0-9][A-Za-z0-9_.+-]*$`)

var errAgentName = errors.New("not the name of a fence agent: it begins with fence_ and has no path")

// find looks an agent up. Directories that are not absolute are left out: where this process stands must not matter.
func (r *Runner) find(agent string) (string, error) {
	if !agentName.MatchString(agent) {
		return "", fmt.Errorf("agent %q: %w", agent, errAgentName)
	}
	dirs := slices.Concat(r.dirs, filepath.SplitList(os.Getenv("PATH")), []string{"/usr/sbin"})
	for _, dir := range dirs {
		path := filepath.Join(dir, agent)
		if !filepath.IsAbs(path) {
			continue
		}
		//nolint:gosec // an agent's name has no slash, see agentName
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed on this monitor: install it (Debian: package fence-agents)", agent)
}

// process is one run of an agent.
type process struct {
	path  string
	args  []string
	stdin string
	limit int // of the standard output, in bytes
}

// output is what came of a run.
type output struct {
	code   int
	stdout head
	stderr tail
}

// run runs an agent to its end. When ctx ends it is killed. In any case nothing that it has started is left afterwards. The
// error says only that it did not end by itself; what it wrote may hold secrets.
func run(ctx context.Context, p process) (output, error) {
	o := output{stdout: head{limit: p.limit}}
	mark := marker + rand.Text()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir, cmd.Env = "/", append(environment(), mark)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(p.stdin), &o.stdout, &o.stderr
	cmd.WaitDelay = outputDelay
	separate(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	began := time.Now()
	if err := cmd.Start(); err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return o, fmt.Errorf("start it: %w: is it a whole program, and what it needs installed?", err)
	}
	err := cmd.Wait()
	// What it left behind must not go on switching after the answer was taken.
	if killErr := killMarked(mark); killErr != nil {
		return o, fmt.Errorf("end what it has started: %w", killErr)
	}
	o.code = cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		why := "was killed, because the fencing was given up"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = "did not end in time and was killed"
		}
		return o, fmt.Errorf("it %s after %v (%w)", why, time.Since(began).Round(100*time.Millisecond), ctx.Err())
	case err == nil, errors.Is(err, exec.ErrWaitDelay), errors.As(err, &exit) && o.code >= 0:
		return o, nil
	}
	return o, fmt.Errorf("it crashed: %w", err)
}

// environment is the little of this process's own that an agent gets, by name, so that no secret of the monitor's leaks.
func environment() []string {
	env := []string{"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"HOME", "USER", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// head keeps the first bytes that were written to it.
type head struct {
	limit int
	kept  []byte
	full  bool // there was more
}

func (h *head) Write(b []byte) (int, error) {
	n := min(len(b), h.limit-len(h.kept))
	h.kept = append(h.kept, b[:n]...)
	h.full = h.full || n < len(b)
	return len(b), nil
}

func (h *head) text() string { return string(h.kept) }

// tail keeps the last outputLimit bytes that were written to it.
type tail struct {
	kept []byte
	full bool // there was more
}

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	t.full = t.full || len(t.kept) > outputLimit
	t.kept = t.kept[max(0, len(t.kept)-outputLimit):]
	return len(b), nil
}

var (
	// logPrefix is what the agents' library puts before its messages.
	logPrefix = regexp.MustCompile(`^(\d{4}-\d\d-\d\d [\d:,]+ )?ERROR:\s*(root:)?\s*`)
	usageHint = "Please use '-h' for usage"
)

// failed makes the error of an agent that ended so, or with an exit code that says nothing else.
func (o *output) failed(agent string, err error, hide secrets) error {
	if err == nil {
		err = fmt.Errorf("it ended with exit code %d", o.code)
	}
	if said := o.said(hide); said != "" {
		return fmt.Errorf("%s: %w: %s", agent, err, said)
	}
	return fmt.Errorf("%s: %w", agent, err)
}

// said is what the agent gave as the reason of its failure, fit for people: its last errors, else the end of what it wrote,
// without secrets and without control characters.
func (o *output) said(hide secrets) string {
	stderr, stdout := string(o.stderr.kept), o.stdout.text()
	// A secret that was cut in two would not be recognised.
	if o.stderr.full {
		stderr = stderr[min(len(stderr), hide.longest):]
	}
	if o.stdout.full {
		stdout = stdout[:max(0, len(stdout)-hide.longest)]
	}
	var all, errs []string
	for line := range strings.Lines(hide.in(stdout) + "\n" + hide.in(stderr)) {
		line = strings.Join(strings.FieldsFunc(line, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
		bare := logPrefix.ReplaceAllString(line, "")
		if bare == "" || bare == usageHint {
			continue
		}
		all = append(all, line)
		if bare != line && !slices.Contains(errs, bare) {
			errs = append(errs, bare)
		}
	}
	lines := errs
	if len(lines) == 0 {
		lines = all
	}
	text := []rune(strings.Join(lines[max(0, len(lines)-saidLines):], "; "))
	return string(text[max(0, len(text)-saidLimit):])
}
