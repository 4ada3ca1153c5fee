package demo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What a step of a script does.
const (
	verbKill = "kill"
	verbHeal = "heal"
	verbWait = "wait"
)

// Targets of a kill that are not the name of a host.
const (
	targetLeader = "leader"
	hostOf       = "host-of:"
)

// waitLimit is how long a wait may take that names no limit.
const waitLimit = time.Minute

// Step is one step of a script.
type Step struct {
	Verb   string
	Target string        // kill: a host, host-of:WORKLOAD or leader
	Limit  time.Duration // wait
}

// String is the step as a script writes it.
func (s Step) String() string {
	switch {
	case s.Verb == verbWait && s.Limit != waitLimit:
		return verbWait + " " + s.Limit.String()
	case s.Target != "":
		return s.Verb + " " + s.Target
	}
	return s.Verb
}

// ParseScript reads a script, steps with semicolons between: kill HOST | host-of:WORKLOAD | leader, heal, wait [30s]. The
// error lists all mistakes.
func ParseScript(text string) ([]Step, error) {
	var steps []Step
	var mistakes []error
	for part := range strings.SplitSeq(text, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		step, err := parseStep(words[0], words[1:])
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("script: %q: %w", strings.Join(words, " "), err))
			continue
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 && len(mistakes) == 0 {
		mistakes = append(mistakes, errors.New("script: it holds no step; write for example: kill host-of:web; wait"))
	}
	return steps, errors.Join(mistakes...)
}

func parseStep(verb string, rest []string) (Step, error) {
	switch verb {
	case verbKill:
		if len(rest) != 1 {
			return Step{}, errors.New("write kill HOST, kill host-of:WORKLOAD or kill leader")
		}
		return Step{Verb: verb, Target: rest[0]}, checkTarget(rest[0])
	case verbHeal:
		if len(rest) > 0 {
			return Step{}, errors.New("heal stands alone: it starts everything that was killed")
		}
		return Step{Verb: verb}, nil
	case verbWait:
		step := Step{Verb: verb, Limit: waitLimit}
		if len(rest) == 0 {
			return step, nil
		}
		limit, err := time.ParseDuration(rest[0])
		if len(rest) > 1 || err != nil || limit <= 0 {
			return Step{}, errors.New("write wait, or wait with a limit such as wait 30s")
		}
		step.Limit = limit
		return step, nil
	}
	return Step{}, errors.New("there is no such step; write kill, heal or wait")
}

func checkTarget(target string) error {
	workload, isWorkload := strings.CutPrefix(target, hostOf)
	switch {
	case target == targetLeader || slices.Contains(hostNames, target):
		return nil
	case !isWorkload:
		return fmt.Errorf("there is no host %s; the hosts are %s", target, strings.Join(hostNames, ", "))
	case slices.Contains(workloadNames, workload):
		return nil
	}
	return fmt.Errorf("there is no workload %s; the workloads are %s", workload, strings.Join(workloadNames, ", "))
}
