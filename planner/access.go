package planner

import (
	"slices"
	"time"
)

// Role is what a user may do. Each role may do what the ones before it may.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // look at everything
	Operator Role = "operator" // start and stop, begin and steer runs, silence, release and fence hosts
	Approver Role = "approver" // apply files, arm and disarm plans, confirm that a host is off
	Admin    Role = "admin"    // users, enrolment of hosts, monitors
)

// Roles lists the roles, the least first.
var Roles = []Role{Viewer, Operator, Approver, Admin}

// atLeast says that a role may do what another may. An unknown role may do nothing.
func (r Role) atLeast(other Role) bool {
	have, need := slices.Index(Roles, r), slices.Index(Roles, other)
	return need >= 0 && have >= need
}

// Grant gives a role, everywhere or within limits.
type Grant struct {
	Role  Role     `json:"role"`
	Sites []string `json:"sites,omitempty"` // only for what concerns hosts of these sites alone
	Plans []string `json:"plans,omitempty"` // only for these plans
}

// Scope is what an act concerns. The zero Scope is the whole cluster.
type Scope struct {
	Sites []string // of every host that it concerns
	Plan  string
}

// covers says whether a grant reaches an act. Looking is not limited: who sees half of a cluster decides wrongly.
func (g Grant) covers(role Role, scope Scope) bool {
	if !g.Role.atLeast(role) {
		return false
	}
	if role == Viewer || len(g.Sites) == 0 && len(g.Plans) == 0 {
		return true
	}
	if scope.Plan != "" && slices.Contains(g.Plans, scope.Plan) {
		return true
	}
	return len(scope.Sites) > 0 && !slices.ContainsFunc(scope.Sites, func(site string) bool { return !slices.Contains(g.Sites, site) })
}

// User is a person, or a program of theirs.
type User struct {
	Grants []Grant          `json:"grants,omitempty"`
	Groups []string         `json:"groups,omitempty"`
	Tokens map[string]Token `json:"tokens,omitempty"` // by id
	// Since is when the user was added, or had everything revoked: a certificate that was made before is void. It is a whole
	// second, as the times in certificates are: that in which the user was added, or the one after that of the revocation.
	Since time.Time `json:"since"`
}

// Token is an API token of a user. The secret is not kept.
type Token struct {
	Hash    string    `json:"hash"` // SHA-256 of the secret, 64 hex digits
	Made    time.Time `json:"made"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires"`
}

// Group is a set of grants that users share.
type Group struct {
	Grants []Grant `json:"grants"`
}

// Enrolment is what is known of the agent of a host. It stands apart from Host: an agent enrols before the inventory names
// its host, and after it does not any more the keys still tell who it was.
type Enrolment struct {
	Invite *Invite   `json:"invite,omitempty"` // until it is used
	NKey   string    `json:"nkey,omitempty"`   // empty: not enrolled
	SPKI   string    `json:"spki,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Invite lets an agent enrol once.
type Invite struct {
	Index   uint64    `json:"index"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, 64 hex digits
	Expires time.Time `json:"expires"`
}

// May says whether a user may do what needs a role and concerns a scope. A user that does not exist may nothing.
func (s *State) May(user string, role Role, scope Scope) bool {
	u, ok := s.Users.Get(user)
	if !ok {
		return false
	}
	for _, grant := range s.grantsOf(u) {
		if grant.covers(role, scope) {
			return true
		}
	}
	return false
}

// Holds says whether a user has a role at all, be it within limits.
func (s *State) Holds(user string, role Role) bool {
	u, ok := s.Users.Get(user)
	return ok && slices.ContainsFunc(s.grantsOf(u), func(g Grant) bool { return g.Role.atLeast(role) })
}

// Grants lists what a user may do, by the user's groups too; nothing for one that does not exist.
func (s *State) Grants(user string) []Grant {
	u, _ := s.Users.Get(user)
	return s.grantsOf(u)
}

// grantsOf lists the grants of a user and of the user's groups.
func (s *State) grantsOf(u User) []Grant {
	grants := slices.Clone(u.Grants)
	for _, name := range u.Groups {
		group, _ := s.Groups.Get(name)
		grants = append(grants, group.Grants...)
	}
	return grants
}

// ScopeOf is the scope of an act on hosts: their sites. Of a host that the inventory does not name it is the whole cluster.
func (s *State) ScopeOf(hosts ...string) Scope {
	var scope Scope
	for _, name := range hosts {
		if s.Inventory == nil {
			return Scope{}
		}
		host, ok := s.Inventory.Hosts[name]
		if !ok {
			return Scope{}
		}
		if !slices.Contains(scope.Sites, host.Site) {
			scope.Sites = append(scope.Sites, host.Site)
		}
	}
	return scope
}
