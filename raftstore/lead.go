package raftstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
)

const (
	canaryInterval = time.Second
	canaryBlock    = 4096
	idleAfter      = 10 * time.Second // without a commit: prove by a barrier that commits still work
	maxStuck       = 30 * time.Second // leading without one: end the process, or followers wait for it for ever
	resignInterval = 10 * time.Second // between two tries to hand leadership over: nobody else may be fit
	maxMinFree     = 512 << 20        // bytes
)

// leadership follows whether this monitor leads and whether it is fit to. It belongs to the goroutine of run.
type leadership struct {
	*Store
	canary   *os.File
	index    uint64    // the commit index when last looked at
	since    time.Time // when it last grew, or leadership began
	resigned time.Time // when leadership was last given back
	passed   int       // heirs that did not take it since
}

func newLeadership(s *Store) (*leadership, error) {
	canary, err := os.OpenFile(filepath.Join(s.dir.path, canaryFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open canary: %w", err)
	}
	return &leadership{Store: s, canary: canary}, nil
}

// run lasts until ctx is cancelled. Raft blocks while notify is full, so nothing here waits longer than stall.
func (l *leadership) run(ctx context.Context, notify <-chan bool, observed <-chan raft.Observation) {
	defer func() { _ = l.canary.Close() }()
	tick := time.NewTicker(canaryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-notify:
			l.since = time.Now()
			if leads {
				l.takeOver(ctx)
			}
			l.watchers.wake()
		case <-observed:
			l.watchers.wake()
		case <-tick.C:
			l.check(ctx)
		}
	}
}

// check is the canary: whoever leads must be able to write and to commit.
func (l *leadership) check(ctx context.Context) {
	switch l.raft.State() {
	case raft.Shutdown:
		if ctx.Err() == nil {
			l.die(fmt.Errorf("monitor %s was removed from the cluster", l.opts.Name))
		}
	case raft.Leader:
		l.checkLeader(ctx)
	case raft.Follower, raft.Candidate:
		l.checkFollower()
	}
}

// checkFollower lets a follower sing, too: one that cannot write falls behind, and nobody would know.
func (l *leadership) checkFollower() {
	err := l.sing()
	if err == nil {
		l.trouble.Store(nil)
		return
	}
	why := err.Error()
	if was := l.trouble.Swap(&why); was == nil {
		l.log.Warn().Str("reason", why).Msg("this monitor cannot lead, and may fall behind")
	}
}

func (l *leadership) checkLeader(ctx context.Context) {
	if err := l.sing(); err != nil {
		l.resign(ctx, err)
		return
	}
	if !l.Leading() {
		l.takeOver(ctx)
	} else if index := l.raft.CommitIndex(); index != l.index {
		l.index, l.since = index, time.Now()
	} else if time.Since(l.since) >= idleAfter {
		if err := l.barrier(ctx); err != nil {
			l.resign(ctx, err)
		}
	}
	if l.raft.State() == raft.Leader && time.Since(l.since) > maxStuck {
		l.die(fmt.Errorf("monitor %s led for %s and nothing could be committed", l.opts.Name, maxStuck))
	}
}

// takeOver makes Leading true: this monitor has a place to write to, State is complete and the cluster has an id.
func (l *leadership) takeOver(ctx context.Context) {
	if err := l.space(); err != nil {
		l.resign(ctx, err)
		return
	}
	term := l.raft.CurrentTerm()
	if err := l.barrier(ctx); err != nil {
		l.log.Info().Err(err).Uint64("term", term).Msg("could not take over leadership")
		return
	}
	if l.State().Cluster == "" {
		if err := l.nameCluster(ctx); err != nil {
			l.log.Info().Err(err).Uint64("term", term).Msg("could not name the new cluster")
			return
		}
	}
	l.trouble.Store(nil)
	l.ledTerm.Store(term)
	l.log.Info().Uint64("term", term).Uint64("index", l.State().Index).Msg("took over leadership")
	l.watchers.wake()
}

// nameCluster writes the first entry of a new cluster.
func (l *leadership) nameCluster(ctx context.Context) error {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	formed := planner.ClusterFormed{Cluster: hex.EncodeToString(id), Monitors: l.voters(), Admin: l.opts.Admin}
	_, err := l.propose(ctx, planner.Entry{At: time.Now().UTC(), By: l.opts.Name, Event: formed})
	return err
}

// barrier proves that a commit works in this term and that all before it is applied.
func (l *leadership) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	if err := l.await(ctx, func() error { return l.raft.Barrier(stall).Error() }); err != nil {
		return fmt.Errorf("commit a barrier: %w", err)
	}
	l.index, l.since = l.raft.CommitIndex(), time.Now()
	return nil
}

// sing is the canary's note: a leader whose disk hangs would go on leading, since its heartbeats touch no disk.
func (l *leadership) sing() error {
	stop := guard("write the canary", stall, l.die)
	defer stop()
	if _, err := l.canary.WriteAt(make([]byte, canaryBlock), 0); err != nil {
		return fmt.Errorf("write the canary: %w", err)
	}
	if err := syncData(l.canary); err != nil {
		return fmt.Errorf("write the canary: %w", err)
	}
	return l.space()
}

// space says whether the disk has room for a leader's log.
func (l *leadership) space() error {
	if l.opts.MinFree < 0 {
		return nil
	}
	free, total, err := diskSpace(l.dir.path)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for disk space: %w", err)
	}
	least := leastFree(l.opts, total)
	if free >= least {
		return nil
	}
	const mb = 1 << 20
	hint := "free some"
	if ballast := filepath.Join(l.dir.path, ballastFile); l.opts.Ballast > 0 {
		hint = fmt.Sprintf("free some; deleting %s gives %d MB", ballast, l.opts.Ballast/mb)
	}
	return fmt.Errorf("%d MB are free on the disk of %s and a leader needs %d MB: %s", free/mb, l.dir.path, least/mb, hint)
}

// leastFree is how much of a disk must be free for a leader's log.
func leastFree(o Options, total uint64) uint64 {
	switch {
	case o.MinFree < 0:
		return 0
	case o.MinFree > 0:
		return uint64(o.MinFree)
	}
	return min(maxMinFree, total/20)
}

// resign stops acting as leader and hands leadership over, if anybody takes it.
func (l *leadership) resign(ctx context.Context, reason error) {
	l.ledTerm.Store(0)
	why := reason.Error()
	l.trouble.Store(&why)
	l.watchers.wake()
	if time.Since(l.resigned) < resignInterval {
		return
	}
	heir, err := l.heir()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, stall)
		defer cancel()
		err = l.await(ctx, func() error { return l.raft.LeadershipTransferToServer(heir.ID, heir.Address).Error() })
	}
	log := l.log.Warn().Str("reason", why).Str("heir", string(heir.ID))
	if err == nil {
		log.Msg("gave leadership back")
	} else {
		log.Err(err).Msg("could not give leadership back")
	}
	if err != nil && heir.ID != "" {
		l.passed++ // the next one is tried in a second
		return
	}
	l.resigned, l.passed = time.Now(), 0
}

// heir is who leads next when this monitor is not fit to. Raft's own choice could go to and fro between two that are not,
// so leadership goes round all voters in the order of their ids, past those that did not take it.
func (l *leadership) heir() (raft.Server, error) {
	var before, after []raft.Server
	for _, server := range l.servers() {
		switch {
		case server.Suffrage != raft.Voter || string(server.ID) == l.dir.id:
		case string(server.ID) < l.dir.id:
			before = append(before, server)
		default:
			after = append(after, server)
		}
	}
	slices.SortFunc(before, byID)
	slices.SortFunc(after, byID)
	round := slices.Concat(after, before)
	if len(round) == 0 {
		return raft.Server{}, errors.New("there is no other voter")
	}
	return round[l.passed%len(round)], nil
}

func byID(a, b raft.Server) int { return strings.Compare(string(a.ID), string(b.ID)) }
