package planner

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestAccessDoor: what must not be let in about users and agents.
func TestAccessDoor(t *testing.T) {
	admin := []Grant{{Role: Admin}}
	hash, nkey := strings.Repeat("0a", 32), "U"+strings.Repeat("A", 55)
	soon := epoch0.Add(time.Hour)
	formed := ClusterFormed{Cluster: "c", Monitors: []string{"m1"}, Admin: "ann"} // #1
	invited := HostInvited{Host: "h1", Hash: hash, Expires: soon}                 // #2
	enrolled := HostEnrolled{Host: "h1", Invite: 2, NKey: nkey, SPKI: hash}
	for _, c := range []doorCase{
		{"the last admin is removed", nil, UserRemoved{User: "ann"}, CodeState},
		{"the last admin is demoted", nil, UserSet{User: "ann", Grants: []Grant{{Role: Viewer}}}, CodeState},
		{"the last admin is limited", nil, UserSet{User: "ann", Grants: []Grant{{Role: Admin, Sites: []string{"ams"}}}}, CodeState},
		{"the last admins' group is demoted", []Event{
			GroupSet{Group: "ops", Grants: admin}, UserSet{User: "bob", Groups: []string{"ops"}}, UserRemoved{User: "ann"},
		}, GroupSet{Group: "ops"}, CodeState},
		{"a group in use is removed", []Event{GroupSet{Group: "ops"}, UserSet{User: "bob", Groups: []string{"ops"}}}, GroupRemoved{Group: "ops"}, CodeState},
		{"a role that is none", nil, UserSet{User: "bob", Grants: []Grant{{Role: "god"}}}, CodeInvalid},
		{"a token of nobody", nil, TokenMade{User: "bob", ID: "0011", Hash: hash, Expires: soon}, CodeNoSuch},
		{"a token that has expired", nil, TokenMade{User: "ann", ID: "0011", Hash: hash, Expires: epoch0}, CodeInvalid},
		{"an invitation that has expired", nil, HostInvited{Host: "h1", Hash: hash, Expires: epoch0}, CodeInvalid},
		{"an enrolment without invitation", nil, enrolled, CodeStale},
		{"an invitation used twice", []Event{invited, enrolled}, enrolled, CodeStale},
		{"an invitation that was replaced", []Event{invited, invited}, enrolled, CodeStale},
		{"an invitation that was taken back", []Event{invited, HostBarred{Host: "h1"}}, enrolled, CodeStale},
		{
			"the keys of another host",
			[]Event{invited, enrolled, HostInvited{Host: "h2", Hash: hash, Expires: soon}},
			HostEnrolled{Host: "h2", Invite: 4, NKey: nkey, SPKI: strings.Repeat("0b", 32)},
			CodeInvalid,
		},
		{"a stranger is barred", nil, HostBarred{Host: "h1"}, CodeNoSuch},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := through(t, NewState(), append([]Event{formed}, c.before...)...)
			_, err := s.Apply(s.Index+1, Entry{At: epoch0, By: "ann", Event: c.event})
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || refusal.Code != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}
