package raftstore

import (
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Info is how this monitor's log stands, for people.
type Info struct {
	ID        string `json:"id"`
	Role      string `json:"role"` // follower, candidate, leader or shutdown
	Leading   bool   `json:"leading"`
	Leader    string `json:"leader,omitempty"` // configured name; empty if none is known
	Term      uint64 `json:"term"`
	Last      uint64 `json:"last"`      // index of the newest entry on disk
	Committed uint64 `json:"committed"` // index up to which a majority has it
	Applied   uint64 `json:"applied"`
	// Contact is how long ago the leader was heard: 0 on the leader itself, -1 if it never was.
	Contact time.Duration `json:"contact_ns"`
	// Snapshot is when the newest snapshot here was made; zero: there is none.
	Snapshot time.Time `json:"snapshot,omitzero"`
	Members  []Member  `json:"members"`
	// Why says what keeps this monitor from being part of a cluster, or from leading; empty if nothing does.
	Why string `json:"why,omitempty"`
}

// Member is one server of the Raft configuration.
type Member struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // configured name
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
}

// Trouble says why this monitor's log cannot be written, or why it cannot lead; empty: nothing does.
func (s *Store) Trouble() string {
	if trouble := s.trouble.Load(); trouble != nil {
		return *trouble
	}
	return ""
}

// Room says how much of the disk of the data directory is free and how much there is, in bytes, and below which this monitor
// does not lead. The error is errors.ErrUnsupported where this program cannot tell.
func (s *Store) Room() (free, total, least uint64, err error) {
	free, total, err = diskSpace(s.dir.path)
	return free, total, leastFree(s.opts, total), err
}

func memberOf(server raft.Server) Member {
	return Member{
		ID: string(server.ID), Name: nameOf(string(server.ID)), Address: strings.TrimPrefix(string(server.Address), string(server.ID)+"@"),
		Voter: server.Suffrage == raft.Voter,
	}
}

// Info returns how the log stands now.
func (s *Store) Info() Info {
	leader, _ := s.Leader()
	info := Info{
		ID: s.dir.id, Role: roles[s.raft.State()], Leading: s.Leading(), Leader: leader,
		Term: s.raft.CurrentTerm(), Last: s.raft.LastIndex(),
		Committed: s.raft.CommitIndex(), Applied: s.raft.AppliedIndex(), Contact: -1,
		Members: []Member{},
	}
	if heard := s.raft.LastContact(); info.Role == roles[raft.Leader] {
		info.Contact = 0
	} else if !heard.IsZero() {
		info.Contact = time.Since(heard)
	}
	if at := s.machine.kept.Load(); at != 0 {
		info.Snapshot = time.Unix(0, at)
	}
	for _, server := range s.servers() {
		info.Members = append(info.Members, memberOf(server))
	}
	if trouble := s.trouble.Load(); trouble != nil {
		info.Why = *trouble
	}
	if len(info.Members) == 0 {
		s.formMu.Lock()
		defer s.formMu.Unlock()
		info.Why = s.assembly.waitsFor(time.Now())
	}
	return info
}

var roles = map[raft.RaftState]string{
	raft.Follower: "follower", raft.Candidate: "candidate", raft.Leader: "leader", raft.Shutdown: "shutdown",
}
