package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/wire"
)

// Hello is what this monitor says to the others, for them to form or know a cluster by.
func (s *Store) Hello() wire.Hello {
	h := wire.Hello{
		V: wire.Version, Monitor: s.opts.Name, ID: s.dir.id, Raft: s.opts.Peers[s.opts.Name],
		Cluster: s.State().Cluster, Members: []string{},
	}
	for _, server := range s.servers() {
		h.Members = append(h.Members, string(server.ID))
	}
	return h
}

// ObserveHello takes another monitor's hello in and forms a cluster if that was the last one missing. An error means that
// this monitor must stop and why; it has changed nothing.
func (s *Store) ObserveHello(h wire.Hello) error {
	s.formMu.Lock()
	err := s.assembly.observe(h, time.Now())
	s.formMu.Unlock()
	if err != nil {
		return err
	}
	return s.form()
}

// form forms a cluster if it is this monitor's to form and everybody is there.
func (s *Store) form() error {
	s.formMu.Lock()
	defer s.formMu.Unlock()
	if s.assembly.fresh && len(s.servers()) > 0 {
		s.assembly.fresh = false // the leader took this monitor in
	}
	servers := s.assembly.servers(time.Now())
	if servers == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.ProposeWait)
	defer cancel()
	err := s.await(ctx, func() error { return s.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error() })
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil // raft knows of a cluster since a moment ago
	}
	if err != nil {
		return fmt.Errorf("form cluster: %w", err)
	}
	s.assembly.fresh = false
	s.log.Info().Int("monitors", len(servers)).Msg("formed a cluster")
	return nil
}

// servers is raft's newest configuration, committed or not.
func (s *Store) servers() []raft.Server {
	future := s.raft.GetConfiguration() // answers at once
	return future.Configuration().Servers
}
