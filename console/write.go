package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// propose puts an event in the log for the person who sent the request.
func (s *Server) propose(r *http.Request, reason string, event planner.Event) (Look, uint64, error) {
	c, look := callerOf(r), s.monitor.Look()
	role, scope := required(look.State, c, event)
	if err := s.may(look, c, role, &scope); err != nil {
		s.logRefused(r, c.by, err.Error())
		return look, 0, err
	}
	index, err := s.monitor.Propose(r.Context(), planner.Entry{By: c.by, From: c.from, Reason: reason, Event: event})
	return s.monitor.Look(), index, err
}

// done answers a request that was a success.
func done(look Look, index uint64, format string, args ...any) Doc[Done] {
	answer := doc(look, "Done", Done{Message: fmt.Sprintf(format, args...)})
	answer.Index = index
	return answer
}

// needReason refuses what nobody will understand later.
func needReason(reason, verb string) error {
	if reason == "" {
		return &APIError{
			Code: CodeBadRequest, Exit: ExitUsage, Message: verb + " needs a reason; nothing was changed",
			Hint: "--reason TEXT", status: http.StatusBadRequest,
		}
	}
	return nil
}

func (s *Server) postRun(look Look, r *http.Request) (any, error) {
	var req RunRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	run, err := newRun(look, req)
	if refusal, ok := errors.AsType[*planner.Refusal](err); ok && refusal.Code == planner.CodeNothing {
		return doc(look, "Started", Started{Message: refusal.Message}), nil
	}
	if err != nil {
		return nil, err
	}
	look, index, err := s.propose(r, req.Reason, run)
	if err != nil {
		return nil, err
	}
	started := startedAt(look.State, index)
	if started == nil {
		return nil, outcomeUnknown(fmt.Sprintf("the run was started at #%d, but is not known any more", index))
	}
	item := runItem(look.State, started)
	answer := doc(look, "Started", Started{Run: &item, Message: item.ID + " was started"})
	answer.Index = index
	return answer, nil
}

func newRun(look Look, req RunRequest) (planner.RunStarted, error) {
	s := look.State
	if refusal := s.Recovering(); refusal != nil && req.Kind != FenceHost { // what it knows of workloads may long be past
		return planner.RunStarted{}, refusal
	}
	wish := planner.Request{Workloads: req.Workloads, All: req.All, With: req.With, Down: down(look)}
	switch req.Kind {
	case StartWorkloads:
		return planner.NewStart(s, wish)
	case StopWorkloads:
		return planner.NewStop(s, wish)
	case StartPlan:
		return planner.NewPlanRun(s, req.Plan, req.Hosts)
	case FenceHost:
		switch {
		case len(req.Hosts) != 1:
			return planner.RunStarted{}, badRequest("to fence needs one host; nothing was changed")
		case req.Reason == "":
			return planner.RunStarted{}, needReason("", "to fence a host")
		}
		return planner.NewFence(s, req.Hosts[0])
	}
	return planner.RunStarted{}, badRequest("kind %q is none of %s, %s, %s, %s; nothing was started",
		req.Kind, StartWorkloads, StopWorkloads, StartPlan, FenceHost)
}

// startedAt finds the run that the entry at an index started.
func startedAt(s *planner.State, index uint64) *planner.Run {
	logged, _ := s.Logged(index)
	return s.Run(logged.Run)
}

func (s *Server) postStep(look Look, r *http.Request) (any, error) {
	var req StepRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	run, err := runOf(look, r)
	if err != nil {
		return nil, err
	}
	name := planner.RunID(run.ID)
	verb := r.PathValue("verb")
	if (verb == VerbRetry || verb == VerbSkip) && req.Step == "" {
		return nil, badRequest("%s needs the step; nothing was changed", verb)
	}
	switch verb {
	case VerbRetry:
		look, index, err := s.propose(r, req.Reason, planner.StepRetried{Run: run.ID, Step: req.Step})
		return done(look, index, "%s/%s may begin again", name, req.Step), err
	case VerbSkip:
		if err := needReason(req.Reason, "to skip a step"); err != nil {
			return nil, err
		}
		look, index, err := s.propose(r, req.Reason, planner.StepSkipped{Run: run.ID, Step: req.Step})
		return done(look, index, "%s/%s is skipped, the run goes on without it", name, req.Step), err
	case VerbAbort:
		if err := needReason(req.Reason, "to abort a run"); err != nil {
			return nil, err
		}
		look, index, err := s.propose(r, req.Reason, planner.RunAborted{Run: run.ID})
		return done(look, index, "%s is aborted: nothing more of it begins, what has begun is waited for%s", name, afterAbort(run)), err
	}
	return nil, noSuch("verb for a run", verb, "retry, skip, abort")
}

// afterAbort says what becomes of the losses that an aborted run was about.
func afterAbort(run *planner.Run) string {
	lost := []string{}
	for i, host := range run.Hosts {
		if i < len(run.Losses) && run.Losses[i] != 0 {
			lost = append(lost, host)
		}
	}
	switch {
	case run.Kind == planner.RunFence:
		return fmt.Sprintf(". No further attempt to fence %s is made; one that is under way may still succeed", strings.Join(run.Hosts, " "))
	case run.Kind != planner.RunPlan || len(lost) == 0:
		return ""
	}
	return fmt.Sprintf(". For %s the loss counts as answered: the plan does not start again for it by itself; by hand: holter run start %s --host %s",
		strings.Join(lost, " "), run.Plan, strings.Join(lost, ","))
}

// The verbs for a plan.
const (
	verbArm    = "arm"
	verbDisarm = "disarm"
)

func (s *Server) postArm(look Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	plan, ok := look.State.Plans.Get(name)
	if !ok {
		return nil, noSuch("plan", name, "holter plan list")
	}
	switch r.PathValue("verb") {
	case verbArm:
		if plan.Armed {
			return done(look, look.State.Index, "%s is armed already", name), nil
		}
		look, index, err := s.propose(r, req.Reason, planner.PlanArmed{Plan: name})
		return done(look, index, "%s is armed: it starts by itself when it is triggered", name), err
	case verbDisarm:
		if !plan.Armed {
			return done(look, look.State.Index, "%s is disarmed already", name), nil
		}
		if err := needReason(req.Reason, "to disarm a plan"); err != nil {
			return nil, err
		}
		look, index, err := s.propose(r, req.Reason, planner.PlanDisarmed{Plan: name})
		return done(look, index, "%s is disarmed: it does not start by itself; open runs go on", name), err
	}
	return nil, noSuch("verb for a plan", r.PathValue("verb"), "arm, disarm")
}
