package planner

import (
	"maps"
	"regexp"
	"slices"
	"time"
)

// Limits of access, so that nobody who may add users can fill the state.
const (
	maxUsers      = 10_000
	maxTokens     = 20 // of one user
	maxEnrolments = 20_000
)

var (
	accessName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$`)
	tokenID    = regexp.MustCompile(`^[a-z0-9]{4,32}$`)
	hash256    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	publicNKey = regexp.MustCompile(`^U[A-Z2-7]{55}$`)
)

// foldAccess folds who may do what.
func (s *State) foldAccess(index uint64, e Entry) error {
	switch event := e.Event.(type) {
	case UserSet:
		return s.foldUserSet(event)
	case UserRemoved:
		return s.foldUserRemoved(event)
	case GroupSet:
		return s.foldGroupSet(event)
	case GroupRemoved:
		return s.foldGroupRemoved(event)
	case TokenMade:
		return s.foldTokenMade(e, event)
	case TokenRevoked:
		return s.foldTokenRevoked(event)
	case HostInvited:
		return s.foldInvited(index, event)
	case HostEnrolled:
		return s.foldEnrolled(event)
	case HostBarred:
		return s.foldBarred(event)
	}
	panic(unruled(index, e))
}

func (s *State) foldUserSet(e UserSet) error {
	if !accessName.MatchString(e.User) {
		return refuse(CodeInvalid, "%q is no name for a user: use lower-case letters, digits and . _ @ -, at most 64", e.User)
	}
	if err := checkGrants(e.Grants); err != nil {
		return err
	}
	for _, group := range e.Groups {
		if _, ok := s.Groups.Get(group); !ok {
			return refuse(CodeNoSuch, "there is no group %q", group).with("holter group list")
		}
	}
	user, known := s.Users.Get(e.User)
	if !known {
		if s.Users.Len() >= maxUsers {
			return refuse(CodeInvalid, "there are %d users already", maxUsers)
		}
		user.Since = s.At.Truncate(time.Second)
	}
	user.Grants, user.Groups = e.Grants, e.Groups
	return s.setUser(e.User, user)
}

// setUser keeps a user, unless nobody would be left who may add one.
func (s *State) setUser(name string, user User) error {
	had := s.admins()
	s.Users = s.Users.With(name, user)
	return s.keepAdmin(had)
}

// keepAdmin refuses to take the last admin away. A cluster that never had one is not bound by that.
func (s *State) keepAdmin(had int) error {
	if had > 0 && s.admins() == 0 {
		return refuse(CodeState, "nobody would be left who is admin everywhere").with("make another user admin first")
	}
	return nil
}

func (s *State) admins() int {
	n := 0
	for name := range s.Users.All() {
		if s.May(name, Admin, Scope{}) {
			n++
		}
	}
	return n
}

func (s *State) foldUserRemoved(e UserRemoved) error {
	if _, ok := s.Users.Get(e.User); !ok {
		return noSuchUser(e.User)
	}
	had := s.admins()
	s.Users = s.Users.Without(e.User)
	return s.keepAdmin(had)
}

func (s *State) foldGroupSet(e GroupSet) error {
	if !accessName.MatchString(e.Group) {
		return refuse(CodeInvalid, "%q is no name for a group: use lower-case letters, digits and . _ @ -, at most 64", e.Group)
	}
	if err := checkGrants(e.Grants); err != nil {
		return err
	}
	had := s.admins()
	s.Groups = s.Groups.With(e.Group, Group{Grants: e.Grants})
	return s.keepAdmin(had)
}

func (s *State) foldGroupRemoved(e GroupRemoved) error {
	if _, ok := s.Groups.Get(e.Group); !ok {
		return refuse(CodeNoSuch, "there is no group %q", e.Group).with("holter group list")
	}
	for name, user := range s.Users.All() {
		if slices.Contains(user.Groups, e.Group) {
			return refuse(CodeState, "user %s is in group %s", name, e.Group).with("holter user set %s", name)
		}
	}
	s.Groups = s.Groups.Without(e.Group)
	return nil
}

func checkGrants(grants []Grant) error {
	for _, grant := range grants {
		if !slices.Contains(Roles, grant.Role) {
			return refuse(CodeInvalid, "there is no role %q", grant.Role).with("viewer, operator, approver or admin")
		}
		if len(grant.Sites) > 0 && len(grant.Plans) > 0 {
			return refuse(CodeInvalid, "a grant is limited to sites or to plans, not to both").with("give two grants")
		}
	}
	return nil
}

func noSuchUser(name string) *Refusal {
	return refuse(CodeNoSuch, "there is no user %q", name).with("holter user list")
}

func (s *State) foldTokenMade(e Entry, made TokenMade) error {
	user, ok := s.Users.Get(made.User)
	switch {
	case !ok:
		return noSuchUser(made.User)
	case !tokenID.MatchString(made.ID) || !hash256.MatchString(made.Hash):
		return refuse(CodeInvalid, "a token needs an id and the SHA-256 of its secret")
	case !made.Expires.After(s.At):
		return refuse(CodeInvalid, "the token would have expired at %s already", made.Expires.Format(time.RFC3339))
	}
	tokens := maps.Clone(user.Tokens)
	maps.DeleteFunc(tokens, func(_ string, t Token) bool { return !t.Expires.After(s.At) })
	if _, taken := tokens[made.ID]; taken {
		return refuse(CodeInvalid, "user %s has a token %s already", made.User, made.ID)
	}
	if len(tokens) >= maxTokens {
		return refuse(CodeInvalid, "user %s has %d tokens already", made.User, maxTokens).with("holter token revoke")
	}
	if tokens == nil {
		tokens = map[string]Token{}
	}
	tokens[made.ID] = Token{Hash: made.Hash, Made: s.At, By: e.By, Expires: made.Expires}
	user.Tokens = tokens
	s.Users = s.Users.With(made.User, user)
	return nil
}

func (s *State) foldTokenRevoked(e TokenRevoked) error {
	user, ok := s.Users.Get(e.User)
	if !ok {
		return noSuchUser(e.User)
	}
	if e.ID == "" {
		user.Tokens, user.Since = nil, s.At.Truncate(time.Second).Add(time.Second)
		s.Users = s.Users.With(e.User, user)
		return nil
	}
	if _, ok := user.Tokens[e.ID]; !ok {
		return refuse(CodeNoSuch, "user %s has no token %q", e.User, e.ID).with("holter token list")
	}
	user.Tokens = maps.Clone(user.Tokens)
	delete(user.Tokens, e.ID)
	s.Users = s.Users.With(e.User, user)
	return nil
}

func (s *State) foldInvited(index uint64, e HostInvited) error {
	switch {
	case !hostName.MatchString(e.Host):
		return refuse(CodeInvalid, "%q is no name for a host: use lower-case letters, digits and '-', at most 63", e.Host)
	case !hash256.MatchString(e.Hash):
		return refuse(CodeInvalid, "an invitation needs the SHA-256 of its secret")
	case !e.Expires.After(s.At):
		return refuse(CodeInvalid, "the invitation would have expired at %s already", e.Expires.Format(time.RFC3339))
	}
	enrolment, known := s.Enrolments.Get(e.Host)
	if !known && s.Enrolments.Len() >= maxEnrolments {
		return refuse(CodeInvalid, "%d hosts are enrolled or invited already", maxEnrolments)
	}
	enrolment.Invite = &Invite{Index: index, Hash: e.Hash, Expires: e.Expires}
	s.Enrolments = s.Enrolments.With(e.Host, enrolment)
	return nil
}

// hostName is what plans calls a name.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (s *State) foldEnrolled(e HostEnrolled) error {
	enrolment, _ := s.Enrolments.Get(e.Host)
	switch invite := enrolment.Invite; {
	case invite == nil || invite.Index != e.Invite:
		return refuse(CodeStale, "the invitation of %s was used, replaced or taken back", e.Host).with("holter agent invite %s", e.Host)
	case !invite.Expires.After(s.At):
		return refuse(CodeStale, "the invitation of %s has expired at %s", e.Host, invite.Expires.Format(time.RFC3339)).with("holter agent invite %s", e.Host)
	case !publicNKey.MatchString(e.NKey) || !hash256.MatchString(e.SPKI):
		return refuse(CodeInvalid, "an enrolment needs a public nkey and the SHA-256 of the certificate's key")
	}
	for name, other := range s.Enrolments.All() {
		if name != e.Host && (other.NKey == e.NKey || other.SPKI == e.SPKI) {
			return refuse(CodeInvalid, "%s brings the keys of %s", e.Host, name).with("make new ones: holter join on the host itself")
		}
	}
	s.Enrolments = s.Enrolments.With(e.Host, Enrolment{NKey: e.NKey, SPKI: e.SPKI, At: s.At})
	return nil
}

func (s *State) foldBarred(e HostBarred) error {
	if _, ok := s.Enrolments.Get(e.Host); !ok {
		return refuse(CodeNoSuch, "host %q is neither enrolled nor invited", e.Host).with("holter agent list")
	}
	s.Enrolments = s.Enrolments.Without(e.Host)
	return nil
}
