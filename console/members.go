package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/holter-ha/holter/planner"
)

// Keeper is what the server needs of a monitor that keeps a replicated log with members: who they are, changing them, and saving
// what the log adds up to. A Monitor that is none answers these requests with an error.
type Keeper interface {
	// Members lists who is in the cluster, or waits to be, and the last change that began here.
	Members() Members
	// ChangeMembers begins a change and returns; Members says how it goes. The error is a *planner.Refusal or
	// planner.ErrNotLeader; then nothing was changed.
	ChangeMembers(change MemberChange, by, from, reason string) error
	// Transfer hands leadership over, to the monitor named or to the one that is furthest.
	Transfer(ctx context.Context, to string) error
	// Save writes a snapshot.
	Save(w io.Writer) error
}

// Members is who is in the cluster.
type Members struct {
	Items []MemberItem `json:"items"`
	// Change is the last change that the leader has begun since it was started; nil: none.
	Change *ChangeItem `json:"change,omitempty"`
}

// MemberItem is one server: of the cluster, or one that waits to be taken in.
type MemberItem struct {
	Name    string `json:"name"`
	ID      string `json:"id"` // server id
	Address string `json:"address"`
	// Role is leader, voter, nonvoter, or waiting: with an empty directory, to be taken in.
	Role    string `json:"role"`
	Answers bool   `json:"answers"`
	AgeMs   int64  `json:"ageMs"`             // of its newest hello; -1: not heard
	Applied uint64 `json:"applied,omitempty"` // index of its state
	Leases  bool   `json:"leases"`            // it votes on leases
}

// The roles of members.
const (
	RoleLeader   = "leader"
	RoleVoter    = "voter"
	RoleNonvoter = "nonvoter"
	RoleWaiting  = "waiting"
)

// MemberChange asks for a change of members.
type MemberChange struct {
	Verb  string // add, remove or replace
	Name  string
	Force bool // remove: although it answers
}

// ChangeItem is a change of members as it stands.
type ChangeItem struct {
	Verb  string   `json:"verb"`
	Name  string   `json:"name"`
	Began Time     `json:"began"`
	Doing string   `json:"doing"`
	Steps []string `json:"steps"` // all that was done, Doing the last
	Ended Time     `json:"ended,omitzero"`
	Error string   `json:"error,omitempty"`
}

// MemberRequest asks for a change of members, or of the leader.
type MemberRequest struct {
	Force  bool   `json:"force,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// The verbs for monitors.
const (
	VerbAdd      = "add"
	VerbRemove   = "remove"
	VerbReplace  = "replace"
	VerbTransfer = "transfer"
	anyMonitor   = "-" // transfer: to whoever is furthest
)

func (s *Server) keeper() (Keeper, error) {
	keeper, ok := s.monitor.(Keeper)
	if !ok {
		return nil, errors.New("this monitor keeps no log with members")
	}
	return keeper, nil
}

func (s *Server) getMonitors(look Look, _ *http.Request) (any, error) {
	keeper, err := s.keeper()
	if err != nil {
		return nil, err
	}
	return doc(look, "Monitors", keeper.Members()), nil
}

func (s *Server) postMonitor(look Look, r *http.Request) (any, error) {
	var req MemberRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	keeper, err := s.keeper()
	if err != nil {
		return nil, err
	}
	caller := callerOf(r)
	if err := s.may(look, caller, planner.Admin, &planner.Scope{}); err != nil {
		return nil, err
	}
	name, verb := r.PathValue("name"), r.PathValue("verb")
	switch verb {
	case VerbTransfer:
		to := name
		if to == anyMonitor {
			to = ""
		}
		if err := keeper.Transfer(r.Context(), to); err != nil {
			return nil, err
		}
		return done(s.monitor.Look(), look.State.Index, "%s has handed leadership over", look.Self), nil
	case VerbAdd, VerbRemove, VerbReplace:
		if err := needReason(req.Reason, "to "+verb+" a monitor"); err != nil {
			return nil, err
		}
		change := MemberChange{Verb: verb, Name: name, Force: req.Force}
		if err := keeper.ChangeMembers(change, caller.by, caller.from, req.Reason); err != nil {
			return nil, err
		}
		return done(look, look.State.Index, "%s of %s was begun", verb, name), nil
	}
	return nil, noSuch("verb for a monitor", verb, "add, remove, replace, transfer")
}

// saveTimeout is how long a snapshot may take to be written to a client.
const saveTimeout = 5 * time.Minute

// getSnapshot streams a snapshot. Its last line is a checksum: one that breaks off is known by that.
func (s *Server) getSnapshot(w http.ResponseWriter, r *http.Request) {
	look := s.monitor.Look()
	if !look.Leading && r.URL.Query().Get("stale") != "1" {
		s.forward(w, r, look)
		return
	}
	keeper, err := s.keeper()
	if err == nil && look.State.Cluster == "" {
		err = &planner.Refusal{Code: planner.CodeState, Message: "there is no cluster yet"}
	}
	if err != nil {
		s.fail(w, look, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(saveTimeout))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	if err := keeper.Save(w); err != nil {
		s.log.Warn().Err(fmt.Errorf("write a snapshot to a client: %w", err)).Msg("request failed")
	}
}
