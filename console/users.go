package console

import (
	"context"
	"crypto"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

const (
	maxInvitation = 7 * 24 * time.Hour
	maxTokenLife  = 366 * 24 * time.Hour
)

func (s *Server) accessRoutes() []route {
	return []route{
		{"POST /v1/enroll", anybody, s.secured(s.postEnroll)},
		{"POST /v1/renew", proven, s.secured(s.postRenew)},
		{"GET /v1/users", planner.Viewer, s.present(s.getUsers)},
		{"POST /v1/users/{name}", planner.Admin, s.change(s.postUser)},
		{"POST /v1/users/{name}/remove", planner.Admin, s.change(s.postUserRemove)},
		{"POST /v1/users/{name}/tokens", planner.Viewer, s.change(s.postToken)},
		{"POST /v1/users/{name}/revoke", planner.Viewer, s.change(s.postTokenRevoke)},
		{"POST /v1/users/{name}/certificate", planner.Admin, s.secured(s.postUserCertificate)},
		{"GET /v1/whoami", proven, s.present(s.getWhoami)},
		{"GET /v1/groups", planner.Viewer, s.present(s.getGroups)},
		{"POST /v1/groups/{name}", planner.Admin, s.change(s.postGroup)},
		{"POST /v1/groups/{name}/remove", planner.Admin, s.change(s.postGroupRemove)},
		{"GET /v1/agents", planner.Viewer, s.present(s.getAgents)},
		{"POST /v1/agents/{name}/invite", planner.Admin, s.secured(s.postInvite)},
		{"POST /v1/hosts/{name}/remove", planner.Admin, s.change(s.postHostRemove)},
		{"POST /v1/agents/{name}/revoke", planner.Admin, s.change(s.postBar)},
	}
}

// secured is change for what only a secured cluster has.
func (s *Server) secured(answer answerer) http.HandlerFunc {
	return s.change(func(look Look, r *http.Request) (any, error) {
		if s.security == nil {
			return nil, badRequest("this cluster has no certificates; nothing was changed")
		}
		return answer(look, r)
	})
}

// UserItem is a user without anything secret.
type UserItem struct {
	Name   string          `json:"name"`
	Grants []planner.Grant `json:"grants"`
	Groups []string        `json:"groups"`
	Tokens []TokenItem     `json:"tokens"`
}

// TokenItem is a token without its hash.
type TokenItem struct {
	ID      string `json:"id"`
	By      string `json:"by"`
	Made    Time   `json:"made"`
	Expires Time   `json:"expires"`
}

// UserRequest sets the grants and groups of a user.
type UserRequest struct {
	Grants []planner.Grant `json:"grants"`
	Groups []string        `json:"groups,omitempty"`
	Reason string          `json:"reason,omitempty"`
}

// TokenRequest asks for a token.
type TokenRequest struct {
	ForMs  int64  `json:"forMs"`
	Reason string `json:"reason,omitempty"`
}

// RevokeRequest takes one token away; without an ID all, and the certificates.
type RevokeRequest struct {
	ID     string `json:"id,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Secret is something secret that is shown once: an API token or a join token.
type Secret struct {
	Secret  string `json:"secret"`
	ID      string `json:"id,omitempty"`
	Expires Time   `json:"expires"`
}

// InviteRequest asks to let the agent of a host enrol once.
type InviteRequest struct {
	ForMs  int64  `json:"forMs"`
	Reason string `json:"reason,omitempty"`
}

// AgentItem is what is known of the agent of a host.
type AgentItem struct {
	Host     string `json:"host"`
	Enrolled Time   `json:"enrolled"`
	Invited  bool   `json:"invited"`
	Expires  Time   `json:"expires"`        // of the invitation
	NKey     string `json:"nkey,omitempty"` // public: by which NATS knows it
}

func (s *Server) getUsers(look Look, r *http.Request) (any, error) {
	var items []UserItem
	c := callerOf(r)
	for name, user := range look.State.Users.All() {
		item := UserItem{Name: name, Grants: some(user.Grants), Groups: some(user.Groups), Tokens: []TokenItem{}}
		if s.may(look, c, tokenRole(c, name), &planner.Scope{}) == nil {
			for id, token := range user.Tokens {
				item.Tokens = append(item.Tokens, TokenItem{id, token.By, Time{token.Made}, Time{token.Expires}})
			}
			slices.SortFunc(item.Tokens, func(a, b TokenItem) int { return a.Made.Compare(b.Made.Time) })
		}
		items = append(items, item)
	}
	return list(look, "Users", items), nil
}

func (s *Server) postUser(_ Look, r *http.Request) (any, error) {
	var req UserRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	look, index, err := s.propose(r, req.Reason, planner.UserSet{User: name, Grants: req.Grants, Groups: req.Groups})
	return done(look, index, "user %s is set", name), err
}

func (s *Server) postUserRemove(_ Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	look, index, err := s.propose(r, req.Reason, planner.UserRemoved{User: name})
	return done(look, index, "user %s is removed, with all tokens and certificates", name), err
}

func (s *Server) postToken(_ Look, r *http.Request) (any, error) {
	var req TokenRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	if req.ForMs <= 0 || req.ForMs > maxTokenLife.Milliseconds() {
		return nil, badRequest("a token lasts up to %s; nothing was changed", maxTokenLife)
	}
	text, id, hash := identity.NewToken()
	expires := time.Now().Add(time.Duration(req.ForMs) * time.Millisecond).UTC()
	look, _, err := s.propose(r, req.Reason, planner.TokenMade{User: r.PathValue("name"), ID: id, Hash: hash, Expires: expires})
	return doc(look, "Secret", Secret{Secret: text, ID: id, Expires: Time{expires}}), err
}

func (s *Server) postTokenRevoke(_ Look, r *http.Request) (any, error) {
	var req RevokeRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	look, index, err := s.propose(r, req.Reason, planner.TokenRevoked{User: name, ID: req.ID})
	if req.ID == "" {
		return done(look, index, "all tokens and certificates of %s are void", name), err
	}
	return done(look, index, "token %s of %s is void", req.ID, name), err
}

func (s *Server) postUserCertificate(look Look, r *http.Request) (any, error) {
	var req RenewRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	if err := s.may(look, callerOf(r), planner.Admin, &planner.Scope{}); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	if _, ok := look.State.Users.Get(name); !ok {
		return nil, noSuch("user", name, "holter user list")
	}
	public, err := readRequest(req.Request)
	if err != nil {
		return nil, err
	}
	return s.certificate(look, identity.ID{Kind: identity.User, Name: name}, public)
}

func (s *Server) certificate(look Look, id identity.ID, public crypto.PublicKey) (any, error) {
	cert, err := s.security.Sign(id, public)
	if err != nil {
		return nil, err
	}
	return doc(look, "Renewed", Renewed{Certificate: string(cert), Root: string(s.security.Root)}), nil
}

// Users asks for all users.
func (c *Client) Users(ctx context.Context) (List[UserItem], error) {
	return get[List[UserItem]](ctx, c, "/v1/users")
}

// SetUser adds a user, or sets the grants and groups of one.
func (c *Client) SetUser(ctx context.Context, name string, req UserRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/users/"+url.PathEscape(name), req)
}

// RemoveUser takes a user away, with all tokens and certificates.
func (c *Client) RemoveUser(ctx context.Context, name, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/users/"+url.PathEscape(name)+"/remove", ReasonRequest{reason})
}

// MakeToken makes an API token; its secret is shown this once.
func (c *Client) MakeToken(ctx context.Context, user string, req TokenRequest) (Doc[Secret], error) {
	return post[Doc[Secret]](ctx, c, "/v1/users/"+url.PathEscape(user)+"/tokens", req)
}

// RevokeTokens takes a token away, or everything of a user.
func (c *Client) RevokeTokens(ctx context.Context, user string, req RevokeRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/users/"+url.PathEscape(user)+"/revoke", req)
}

// UserCertificate asks for a certificate of a user for the key of a request.
func (c *Client) UserCertificate(ctx context.Context, user string, req RenewRequest) (Doc[Renewed], error) {
	return post[Doc[Renewed]](ctx, c, "/v1/users/"+url.PathEscape(user)+"/certificate", req)
}
