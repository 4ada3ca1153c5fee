package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/holter-ha/holter/planner"
)

// GroupItem is a group, and who is in it.
type GroupItem struct {
	Name   string          `json:"name"`
	Grants []planner.Grant `json:"grants"`
	Users  []string        `json:"users"`
}

// GroupRequest sets the grants of a group.
type GroupRequest struct {
	Grants []planner.Grant `json:"grants"`
	Reason string          `json:"reason,omitempty"`
}

// Whoami is who asks, as the cluster sees it.
type Whoami struct {
	By     string          `json:"by"`
	From   string          `json:"from"`
	All    bool            `json:"all"`    // may do everything: root on a monitor, or nobody is asked who they are
	Grants []planner.Grant `json:"grants"` // with those of the groups
}

func (s *Server) getWhoami(look Look, r *http.Request) (any, error) {
	c := callerOf(r)
	return doc(look, "Whoami", Whoami{By: c.by, From: c.from, All: c.all, Grants: some(look.State.Grants(c.user()))}), nil
}

func (s *Server) getGroups(look Look, _ *http.Request) (any, error) {
	var items []GroupItem
	for name, group := range look.State.Groups.All() {
		item := GroupItem{Name: name, Grants: some(group.Grants), Users: []string{}}
		for user, u := range look.State.Users.All() {
			if slices.Contains(u.Groups, name) {
				item.Users = append(item.Users, user)
			}
		}
		items = append(items, item)
	}
	return list(look, "Groups", items), nil
}

func (s *Server) postGroup(_ Look, r *http.Request) (any, error) {
	var req GroupRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	look, index, err := s.propose(r, req.Reason, planner.GroupSet{Group: name, Grants: req.Grants})
	return done(look, index, "group %s is set", name), err
}

func (s *Server) postGroupRemove(_ Look, r *http.Request) (any, error) {
	var req ReasonRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	look, index, err := s.propose(r, req.Reason, planner.GroupRemoved{Group: name})
	return done(look, index, "group %s is removed", name), err
}

// Whoami asks who this client is.
func (c *Client) Whoami(ctx context.Context) (Doc[Whoami], error) {
	return get[Doc[Whoami]](ctx, c, "/v1/whoami")
}

// Groups asks for all groups.
func (c *Client) Groups(ctx context.Context) (List[GroupItem], error) {
	return get[List[GroupItem]](ctx, c, "/v1/groups")
}

// SetGroup adds a group, or sets the grants of one.
func (c *Client) SetGroup(ctx context.Context, name string, req GroupRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/groups/"+url.PathEscape(name), req)
}

// RemoveGroup takes a group away that no user is in.
func (c *Client) RemoveGroup(ctx context.Context, name, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/groups/"+url.PathEscape(name)+"/remove", ReasonRequest{reason})
}
