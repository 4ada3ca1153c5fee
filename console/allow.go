package console

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// What a route asks for, beside the roles.
const (
	anybody planner.Role = "anybody" // not even who they are
	proven  planner.Role = "proven"  // whoever it is: a user, an agent
)

// admit finds out who sent a request and whether a route is for them at all. What exactly a change concerns is judged where
// it is proposed, by the leader, who also judges a forwarded caller anew.
func (s *Server) admit(role planner.Role, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		look := s.monitor.Look()
		c, reason := s.identify(look, r)
		r = r.WithContext(context.WithValue(r.Context(), callerKey, c))
		if c.by == "" && role != anybody && look.State.Cluster == "" && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			// The certificate is of this cluster; who holds it is in the log, of which there is nothing here yet. That is no break-in.
			s.fail(w, look, noQuorum(look, look.Self+" has nothing of the cluster's log yet, and knows nobody"))
			return
		}
		if c.by == "" && !s.limits.mayFail(r.RemoteAddr) {
			s.fail(w, look, tooFast("too many refused requests from this address"))
			return
		}
		if c.by == "" && role != anybody {
			s.limits.failed(r.RemoteAddr)
			s.logRefused(r, "nobody", reason)
			s.fail(w, look, unauthenticated())
			return
		}
		if err := s.may(look, c, role, nil); err != nil {
			s.logRefused(r, c.by, err.Error())
			s.fail(w, look, err)
			return
		}
		if r.Method != http.MethodGet && !s.limits.mayChange(c) {
			s.fail(w, look, tooFast("too many changes by one caller"))
			return
		}
		next(w, r)
	}
}

// may judges whether a caller has a role: in a scope, or anywhere for no scope.
func (s *Server) may(look Look, c caller, role planner.Role, scope *planner.Scope) error {
	switch {
	case role == anybody || role == proven || c.all:
		return nil
	case c.user() == "":
		return forbidden(c, role, "")
	case scope == nil && look.State.Holds(c.user(), role), scope != nil && look.State.May(c.user(), role, *scope):
		return nil
	case scope == nil:
		return forbidden(c, role, "")
	}
	return forbidden(c, role, scopeWords(*scope))
}

func scopeWords(scope planner.Scope) string {
	switch {
	case scope.Plan != "":
		return " for plan " + scope.Plan
	case len(scope.Sites) > 0:
		return " for site " + strings.Join(scope.Sites, " and ")
	}
	return " everywhere"
}

func forbidden(c caller, role planner.Role, where string) *APIError {
	return &APIError{
		Code: CodeForbidden, Exit: ExitForbidden, Message: c.by + " is not allowed to do this: it needs the role " + string(role) + where + "; nothing was changed",
		Hint: "who may give it: an admin, with holter user set", status: http.StatusForbidden,
	}
}

func unauthenticated() *APIError {
	return &APIError{
		Code: CodeUnauthenticated, Exit: ExitForbidden, Message: "the monitor does not know who asks; nothing was changed",
		Hint: "--identity DIR (holter user cert makes one), HOLTER_TOKEN, or as root on a monitor --socket", status: http.StatusUnauthorized,
	}
}

func tooFast(message string) *APIError {
	return &APIError{
		Code: CodeTooFast, Exit: ExitRefused, Message: message + "; nothing was changed", Hint: "wait some seconds",
		status: http.StatusTooManyRequests,
	}
}

func (s *Server) logRefused(r *http.Request, by, reason string) {
	if !s.limits.log.Allow() {
		return
	}
	s.log.Warn().Str("by", by).Str("from", callerOf(r).from).Str("method", r.Method).Str("path", r.URL.Path).Str("reason", reason).
		Msg("request refused")
}

// required says which role an event takes, and where.
func required(s *planner.State, c caller, event planner.Event) (planner.Role, planner.Scope) {
	switch e := event.(type) {
	case planner.RunStarted:
		return planner.Operator, runScope(s, e.Kind, e.Plan, e.Hosts, e.Steps)
	case planner.RunAborted:
		return planner.Operator, openRunScope(s, e.Run)
	case planner.StepRetried:
		return planner.Operator, openRunScope(s, e.Run)
	case planner.StepSkipped:
		return planner.Operator, openRunScope(s, e.Run)
	case planner.HostReleased:
		return planner.Operator, s.ScopeOf(e.Host)
	case planner.SilenceWanted:
		return planner.Operator, subjectScope(s, e.Host, e.Workload)
	case planner.SilenceEnded:
		return planner.Operator, subjectScope(s, e.Host, e.Workload)
	case planner.HostExpired:
		return planner.Approver, s.ScopeOf(e.Host)
	case planner.PlanArmed:
		return planner.Approver, planner.Scope{Plan: e.Plan}
	case planner.PlanDisarmed:
		return planner.Approver, planner.Scope{Plan: e.Plan}
	case planner.FilesApplied:
		return planner.Approver, planner.Scope{}
	case planner.TokenMade:
		return tokenRole(c, e.User), planner.Scope{}
	case planner.TokenRevoked:
		return tokenRole(c, e.User), planner.Scope{}
	case planner.HostEnrolled:
		return anybody, planner.Scope{} // the invitation allows it
	}
	return planner.Admin, planner.Scope{}
}

func tokenRole(c caller, user string) planner.Role {
	if user != "" && c.user() == user {
		return planner.Viewer
	}
	return planner.Admin
}

func openRunScope(s *planner.State, id uint64) planner.Scope {
	run := s.Run(id)
	if run == nil {
		return planner.Scope{}
	}
	return runScope(s, run.Kind, run.Plan, run.Hosts, run.Steps)
}

// runScope is what a run concerns: its plan, or every host where one of its workloads may run.
func runScope(s *planner.State, kind planner.RunKind, plan string, hosts []string, steps []planner.Step) planner.Scope {
	if kind == planner.RunPlan {
		return planner.Scope{Plan: plan}
	}
	hosts = slices.Clone(hosts)
	for i := range steps {
		if steps[i].Workload != "" {
			allowed := workloadHosts(s, steps[i].Workload)
			if len(allowed) == 0 {
				return planner.Scope{}
			}
			hosts = append(hosts, allowed...)
		}
	}
	return s.ScopeOf(hosts...)
}

func workloadHosts(s *planner.State, name string) []string {
	if s.Inventory == nil {
		return nil
	}
	return s.Inventory.Workloads[name].Hosts
}

func subjectScope(s *planner.State, host, workload string) planner.Scope {
	if host != "" {
		return s.ScopeOf(host)
	}
	return s.ScopeOf(workloadHosts(s, workload)...)
}
