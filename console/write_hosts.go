package console

import (
	"fmt"
	"net/http"
	"time"

	"github.com/holter-ha/holter/planner"
)

func (s *Server) postConfirm(look Look, r *http.Request) (any, error) {
	var req ConfirmRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	if err := needReason(req.Reason, "to confirm that a host runs nothing"); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	host, ok := look.State.Hosts.Get(name)
	if !ok {
		return nil, noSuch("host", name, "holter hosts")
	}
	if host.Phase == planner.Expired && host.Evidence.Kind != planner.LeaseExpired {
		return done(look, look.State.Index, "%s runs nothing any more, that is known already (%s)", name, proof(host)), nil
	}
	if err := mayConfirm(look, name, req); err != nil {
		return nil, err
	}
	look, index, err := s.propose(r, req.Reason, planner.HostExpired{
		Host: name, Epoch: host.Epoch, Revocation: host.Revocation, Evidence: planner.Confirmed,
	})
	return done(look, index, "confirmed: %s runs nothing any more, its workloads may start elsewhere", name), err
}

// mayConfirm refuses a person's word on a host that is not lost, that beats, or that is not the one the person has seen.
func mayConfirm(look Look, name string, req ConfirmRequest) error {
	host, _ := look.State.Hosts.Get(name)
	refusal := &planner.Refusal{Code: planner.CodeState, Hint: "holter hosts " + name}
	beats := look.Picture.Hosts[name].Heart == planner.HeartAlive
	devices := len(inventory(look).Hosts[name].Fence) > 0
	switch {
	case beats && devices:
		refusal.Message = fmt.Sprintf("%s beats at this moment, so it is not off; nothing was changed", name)
		refusal.Hint = fmt.Sprintf("to take its power away: holter fence %s --reason …", name)
	case beats:
		refusal.Message = fmt.Sprintf("%s beats at this moment, so it is not off; nothing was changed", name)
		refusal.Hint = fmt.Sprintf("take its power away first and wait until it is silent: holter hosts %s", name)
	case host.Phase != planner.Revoking && host.Phase != planner.Expired:
		refusal.Message = fmt.Sprintf("%s is not lost, so there is nothing to confirm; nothing was changed", name)
	case req.Epoch != 0 && req.Epoch != host.Epoch:
		refusal.Code = planner.CodeStale
		refusal.Message = fmt.Sprintf("%s is under host epoch #%d now, not #%d; nothing was changed", name, host.Epoch, req.Epoch)
	default:
		return nil
	}
	return refusal
}

func (s *Server) postRelease(look Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	if err := needReason(req.Reason, "to release a host"); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	if _, ok := look.State.Hosts.Get(name); !ok {
		return nil, noSuch("host", name, "holter hosts")
	}
	look, index, err := s.propose(r, req.Reason, planner.HostReleased{Host: name})
	return done(look, index, "%s takes workloads again", name), err
}

// subject tells whether a name is a host's or a workload's. A name that is both is the host's.
func subject(look Look, name string) (host, workload string, err error) {
	if _, ok := look.State.Hosts.Get(name); ok {
		return name, "", nil
	}
	if _, ok := look.State.Workloads.Get(name); ok {
		return "", name, nil
	}
	return "", "", noSuch("host or workload", name, "holter hosts, holter workloads")
}

func (s *Server) postSilence(look Look, r *http.Request) (any, error) {
	var req SilenceRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	if err := needReason(req.Reason, "a wanted silence"); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	host, workload, err := subject(look, name)
	if err != nil {
		return nil, err
	}
	if req.ForMs <= 0 || req.ForMs > planner.MaxSilence.Milliseconds() {
		return nil, badRequest("a wanted silence lasts up to %s, not %s; nothing was changed", planner.MaxSilence, time.Duration(req.ForMs)*time.Millisecond)
	}
	until := look.Now.Add(time.Duration(req.ForMs) * time.Millisecond)
	look, index, err := s.propose(r, req.Reason, planner.SilenceWanted{Host: host, Workload: workload, Until: until})
	return done(look, index, "%s may be silent until %s: nobody is lost and nothing is moved for it", name, moment(until, look.Now)), err
}

func (s *Server) postSilenceEnd(look Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	host, workload, err := subject(look, name)
	if err != nil {
		return nil, err
	}
	look, index, err := s.propose(r, req.Reason, planner.SilenceEnded{Host: host, Workload: workload})
	return done(look, index, "%s may not be silent any more", name), err
}
