package planner

import "time"

// What follows says who may do what: people, and the agents of hosts.

// accessVersion is the version of the log that these events need.
const accessVersion = 2

// UserSet adds a user, or sets the grants and groups of one. Tokens stay.
type UserSet struct {
	User   string   `json:"user"`
	Grants []Grant  `json:"grants,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// UserRemoved takes a user away, with all tokens. When the name is given again, certificates made before that stay void.
type UserRemoved struct {
	User string `json:"user"`
}

// GroupSet adds a group, or sets its grants.
type GroupSet struct {
	Group  string  `json:"group"`
	Grants []Grant `json:"grants"`
}

// GroupRemoved takes a group away that no user is in.
type GroupRemoved struct {
	Group string `json:"group"`
}

// TokenMade gives a user a token. Only its hash is ever kept.
type TokenMade struct {
	User    string    `json:"user"`
	ID      string    `json:"id"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, 64 hex digits
	Expires time.Time `json:"expires"`
}

// TokenRevoked takes a token away; without an ID all tokens of the user, and every certificate made for the user until now.
type TokenRevoked struct {
	User string `json:"user"`
	ID   string `json:"id,omitempty"`
}

// HostInvited lets the agent of a host enrol once, by a secret. A newer invitation voids the former one.
type HostInvited struct {
	Host    string    `json:"host"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, 64 hex digits
	Expires time.Time `json:"expires"`
}

// HostEnrolled binds a host to the keys of its agent. It uses the invitation up.
type HostEnrolled struct {
	Host   string `json:"host"`
	Invite uint64 `json:"invite"` // index of the HostInvited
	NKey   string `json:"nkey"`   // public, of the agent's messages
	SPKI   string `json:"spki"`   // SHA-256 of the public key of the agent's certificate, 64 hex digits
}

// HostBarred takes the enrolment and the invitation of a host away: its agent reaches nobody until it has enrolled anew.
type HostBarred struct {
	Host string `json:"host"`
}

func (UserSet) Name() string      { return "user_set" }
func (UserRemoved) Name() string  { return "user_removed" }
func (GroupSet) Name() string     { return "group_set" }
func (GroupRemoved) Name() string { return "group_removed" }
func (TokenMade) Name() string    { return "token_made" }
func (TokenRevoked) Name() string { return "token_revoked" }
func (HostInvited) Name() string  { return "host_invited" }
func (HostEnrolled) Name() string { return "host_enrolled" }
func (HostBarred) Name() string   { return "host_barred" }

func init() {
	registerSince[UserSet](accessVersion)
	registerSince[UserRemoved](accessVersion)
	registerSince[GroupSet](accessVersion)
	registerSince[GroupRemoved](accessVersion)
	registerSince[TokenMade](accessVersion)
	registerSince[TokenRevoked](accessVersion)
	registerSince[HostInvited](accessVersion)
	registerSince[HostEnrolled](accessVersion)
	registerSince[HostBarred](accessVersion)
}
