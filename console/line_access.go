package console

import (
	"cmp"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// ofAccess renders the events that say who may do what.
func (line *EventLine) ofAccess(l planner.Logged) {
	at := l.Entry.At
	switch event := l.Entry.Event.(type) {
	case planner.UserSet:
		line.Subject, line.Text = event.User, "is a user: "+grantWords(event.Grants, event.Groups)
	case planner.UserRemoved:
		line.Subject, line.Text = event.User, "is no user any more"
	case planner.GroupSet:
		line.Subject, line.Text = event.Group, "is a group: "+grantWords(event.Grants, nil)
	case planner.GroupRemoved:
		line.Subject, line.Text = event.Group, "is no group any more"
	case planner.TokenMade:
		line.Subject, line.Text = event.User, "has a token "+event.ID+" until "+moment(event.Expires, at)
	case planner.TokenRevoked:
		line.Subject, line.Text = event.User, "has no token "+event.ID+" any more"
		if event.ID == "" {
			line.Text = "has no tokens any more, and all certificates are void"
		}
	case planner.HostInvited:
		line.Subject, line.Text = event.Host, "its agent may enrol until "+moment(event.Expires, at)
	case planner.HostEnrolled:
		line.Subject, line.Text = event.Host, "its agent is enrolled, key "+short(event.SPKI)
	case planner.HostBarred:
		line.Subject, line.Text = event.Host, "its agent is cut off until it enrols anew"
	}
}

func grantWords(grants []planner.Grant, groups []string) string {
	var words []string
	for _, grant := range grants {
		word := string(grant.Role)
		for _, site := range grant.Sites {
			word += ":site=" + site
		}
		for _, plan := range grant.Plans {
			word += ":plan=" + plan
		}
		words = append(words, word)
	}
	for _, group := range groups {
		words = append(words, "group "+group)
	}
	return cmp.Or(strings.Join(words, ", "), "without any role")
}
