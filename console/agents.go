package console

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

func (s *Server) getAgents(look Look, _ *http.Request) (any, error) {
	var items []AgentItem
	for host, enrolment := range look.State.Enrolments.All() {
		item := AgentItem{Host: host, Enrolled: Time{enrolment.At}, NKey: enrolment.NKey}
		if enrolment.Invite != nil {
			item.Invited, item.Expires = true, Time{enrolment.Invite.Expires}
		}
		items = append(items, item)
	}
	return list(look, "Agents", items), nil
}

func (s *Server) postInvite(_ Look, r *http.Request) (any, error) {
	var req InviteRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	if req.ForMs <= 0 || req.ForMs > maxInvitation.Milliseconds() {
		return nil, badRequest("an invitation lasts up to %s; nothing was changed", maxInvitation)
	}
	roots, err := identity.ReadCerts(s.security.Root)
	if err != nil {
		return nil, err
	}
	token := identity.JoinToken{
		Host: r.PathValue("name"), Root: identity.Fingerprint(roots[0]), Secret: identity.NewSecret(),
		Expires: time.Now().Add(time.Duration(req.ForMs) * time.Millisecond).UTC(),
	}
	for _, api := range s.security.API {
		if u, err := url.Parse(api); err == nil && u.Host != "" {
			token.Servers = append(token.Servers, u.Host)
		}
	}
	look, _, err := s.propose(r, req.Reason, planner.HostInvited{Host: token.Host, Hash: identity.Hash(token.Secret), Expires: token.Expires})
	return doc(look, "Secret", Secret{Secret: token.String(), Expires: Time{token.Expires}}), err
}

func (s *Server) postBar(_ Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	look, index, err := s.propose(r, req.Reason, planner.HostBarred{Host: name})
	return done(look, index, "the agent of %s is cut off until it enrols anew", name), err
}

// postHostRemove bars a host that has left the inventory. Of one that is still in it that would be a failure, not an end.
func (s *Server) postHostRemove(look Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	if look.State.Inventory != nil {
		if _, named := look.State.Inventory.Hosts[name]; named {
			return nil, &planner.Refusal{
				Code: planner.CodeState, Message: name + " is in the inventory; nothing was changed",
				Hint: "take it out of the file, holter apply, and try again; to cut it off at once: holter agent revoke " + name,
			}
		}
	}
	look, index, err := s.propose(r, req.Reason, planner.HostBarred{Host: name})
	return done(look, index, "%s is removed; its agent is cut off", name), err
}

// notInvited is the one answer to whoever may not enrol, whatever the reason.
func (s *Server) notInvited(r *http.Request, reason string) *APIError {
	s.limits.failed(r.RemoteAddr)
	s.logRefused(r, "nobody", "enrolment: "+reason)
	return &APIError{
		Code: CodeForbidden, Exit: ExitForbidden, Message: "this token does not let the host enrol; nothing was changed",
		Hint: "get a new one: holter agent invite HOST", status: http.StatusForbidden,
	}
}

// postEnroll hands a certificate out only after the log has used the invitation up.
func (s *Server) postEnroll(look Look, r *http.Request) (any, error) {
	var req EnrollRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	enrolment, _ := look.State.Enrolments.Get(req.Host)
	invite, hash := enrolment.Invite, ""
	if invite != nil {
		hash = invite.Hash
	}
	right := identity.SameHash(hash, identity.Hash(req.Secret))
	switch {
	case invite == nil:
		return nil, s.notInvited(r, "there is no invitation of that host")
	case !right:
		return nil, s.notInvited(r, "the secret is not the invitation's")
	case !invite.Expires.After(time.Now()):
		return nil, s.notInvited(r, "the invitation has expired")
	}
	public, err := readRequest(req.Request)
	if err != nil {
		return nil, err
	}
	spki, err := spkiOf(public)
	if err != nil {
		return nil, err
	}
	r = r.WithContext(context.WithValue(r.Context(), callerKey, caller{by: provenAgent + req.Host, from: callerOf(r).from}))
	look, index, err := s.propose(r, "", planner.HostEnrolled{Host: req.Host, Invite: invite.Index, NKey: req.NKey, SPKI: spki})
	if refusal, ok := errors.AsType[*planner.Refusal](err); ok && refusal.Code == planner.CodeStale { // somebody was faster
		return nil, s.notInvited(r, refusal.Message)
	}
	if err != nil {
		return nil, err
	}
	cert, err := s.security.Sign(identity.ID{Kind: identity.Agent, Name: req.Host}, public)
	if err != nil {
		return nil, err
	}
	answer := doc(look, "Enrolled", Enrolled{
		Certificate: string(cert), Root: string(s.security.Root), NATS: some(s.security.NATS), API: some(s.security.API),
	})
	answer.Index = index
	return answer, nil
}

// postRenew signs the key anew that the caller's certificate has.
func (s *Server) postRenew(look Look, r *http.Request) (any, error) {
	var req RenewRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	public, err := readRequest(req.Request)
	if err != nil {
		return nil, err
	}
	spki, err := spkiOf(public)
	if err != nil {
		return nil, err
	}
	c := callerOf(r)
	if c.spki == "" || !identity.SameHash(spki, c.spki) {
		return nil, forbidden(c, "holder of the same key", "")
	}
	host := after(c.by, provenAgent)
	enrolment, _ := look.State.Enrolments.Get(host)
	_, known := look.State.Users.Get(c.user())
	switch {
	case host != "" && identity.SameHash(enrolment.SPKI, spki):
		return s.certificate(look, identity.ID{Kind: identity.Agent, Name: host}, public)
	case c.user() != "" && known:
		return s.certificate(look, identity.ID{Kind: identity.User, Name: c.user()}, public)
	}
	return nil, forbidden(c, "enrolled agent or user", "")
}

func readRequest(text string) (crypto.PublicKey, error) {
	if block, _ := pem.Decode([]byte(text)); block == nil {
		return nil, badRequest("the request for a certificate is no PEM; nothing was changed")
	}
	public, err := identity.ReadRequest([]byte(text))
	if err != nil {
		return nil, badRequest("%v; nothing was changed", err)
	}
	return public, nil
}

// spkiOf is identity.SPKI of a key that has no certificate yet.
func spkiOf(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", badRequest("the key of the request: %v; nothing was changed", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Agents asks for the agents that are enrolled or invited.
func (c *Client) Agents(ctx context.Context) (List[AgentItem], error) {
	return get[List[AgentItem]](ctx, c, "/v1/agents")
}

// Invite lets the agent of a host enrol once; the join token is shown this once.
func (c *Client) Invite(ctx context.Context, host string, req InviteRequest) (Doc[Secret], error) {
	return post[Doc[Secret]](ctx, c, "/v1/agents/"+url.PathEscape(host)+"/invite", req)
}

// RemoveHost cuts the agent of a host off that the inventory does not name any more.
func (c *Client) RemoveHost(ctx context.Context, host, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/hosts/"+url.PathEscape(host)+"/remove", ReasonRequest{reason})
}

// Bar cuts the agent of a host off.
func (c *Client) Bar(ctx context.Context, host, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/agents/"+url.PathEscape(host)+"/revoke", ReasonRequest{reason})
}
