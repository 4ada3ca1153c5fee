package raftstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	if len(h.Members) > 0 {
		state := s.State()
		h.Applied, h.Generation, h.Peers = state.Index, state.Generation, s.opts.Peers
	}
	return h
}

// ObserveHello takes another monitor's hello in and forms a cluster if that was the last one missing. An error means that
// this monitor must stop and why; it has changed nothing.
func (s *Store) ObserveHello(h wire.Hello) error {
	if err := s.outlived(h); err != nil {
		return err
	}
	s.formMu.Lock()
	s.greet(h, time.Now())
	err := s.assembly.observe(h, time.Now())
	s.formMu.Unlock()
	if err != nil {
		return err
	}
	return s.form()
}

// outlived says that the cluster of this monitor was recovered without it: what its log holds is of another life.
func (s *Store) outlived(h wire.Hello) error {
	// What has been in the recovered cluster for a moment began with its snapshot. Of a log without one the state, and with it
	// the name of the cluster, is not known before somebody leads.
	last, own := s.raft.LastIndex(), s.State().Cluster
	if last == 0 || last >= h.Generation || own != "" && own != h.Cluster || s.opts.Peers[h.Monitor] == "" {
		return nil
	}
	return fmt.Errorf("the cluster was recovered by %s without monitor %s (its log is of before #%d); nothing was changed: "+
		"move its data directory %s away, start it with --join, and tell the others: holter monitor add %s",
		h.Monitor, s.opts.Name, h.Generation, s.dir.path, s.opts.Name)
}

// greet keeps a hello. The caller holds formMu.
func (s *Store) greet(h wire.Hello, now time.Time) {
	maps.DeleteFunc(s.greeted, func(_ string, other heard) bool { return now.Sub(other.at) >= helloAge })
	if _, known := s.greeted[h.ID]; known || len(s.greeted) < maxGreeted {
		s.greeted[h.ID] = heard{h, now}
	}
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
