package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/planner"
)

const (
	defaultHeartbeat   = 500 * time.Millisecond
	defaultProposeWait = 5 * time.Second
	commitTimeout      = 25 * time.Millisecond // how far a follower's state may lag without new entries
	maxAppendEntries   = 128
	snapshotInterval   = time.Minute
	snapshotThreshold  = 4096 // entries since the last snapshot
	trailingLogs       = 4096 // entries kept behind a snapshot, for slow followers
	keptSnapshots      = 2
	rpcTimeout         = 2 * time.Second
	pooledConns        = 3   // for each peer
	maxWaiting         = 256 // calls that wait for raft at one time
	exitCode           = 70  // of a monitor that had to stop: a service manager starts it again
)

// Options is how one monitor's store is set up. Name, Dir, Stream and Peers are required.
type Options struct {
	Name   string           // configured name of this monitor
	Dir    string           // data directory; made if missing
	Stream raft.StreamLayer // how peers are reached; Open takes it over, also when it fails
	// Peers is the configured monitors' Raft addresses by name, this one's included.
	Peers map[string]string
	// Expect is how many fresh monitors form a new cluster: all of Peers. 0 means len(Peers).
	Expect int
	Log    zerolog.Logger

	// Join lets an empty directory wait to be taken into a cluster that exists, in place of a former monitor of this name too.
	// It forms none. A directory that has been in a cluster goes on in it.
	Join bool

	// Heartbeat is raft's heartbeat and election timeout; a leader's lease is half of it. Default 500 ms: a leader's death
	// costs at most 1.2 s. Use 2 s or more between distant sites.
	Heartbeat time.Duration
	// ProposeWait bounds Propose beside its context. Default 5 s.
	ProposeWait time.Duration
	// MinFree is the free disk space, in bytes, below which this monitor does not lead. 0 means 512 MB or 5 % of the disk,
	// whichever is less; a negative number switches the check off.
	MinFree int64
	// Ballast is the size of a file kept in Dir that an operator may delete when the disk is full. 0 means none.
	Ballast int64
	// Admin is the first user of a cluster that this monitor forms; empty: nobody is asked who they are.
	Admin string
	// Observer is told what is applied here; nil: nobody.
	Observer Observer
	// Die is called once, from any goroutine, when this process must not go on. The default exits with code 70.
	Die func(error)
}

// Store is one monitor's part in the replicated log.
type Store struct {
	opts    Options
	log     zerolog.Logger
	dir     *directory
	raft    *raft.Raft
	machine *machine
	stream  *stream
	network *raft.NetworkTransport

	ledTerm atomic.Uint64          // the term in which a barrier succeeded here; 0: none
	trouble atomic.Pointer[string] // why this monitor does not lead although it could; nil: nothing

	watchers watchers
	// formMu: hellos come from the bus's goroutines, status from any.
	formMu   sync.Mutex
	assembly *assembly
	greeted  map[string]heard // the newest hello of each server id, maxGreeted at most
	changing *Changing        // the last change of members that began here; nil: none

	waiting chan struct{} // one token for each goroutine that waits for raft
	done    <-chan struct{}
	stop    context.CancelFunc
	wg      sync.WaitGroup

	dying    atomic.Bool
	shutOnce sync.Once
	shutErr  error
}

// Open opens the data directory, joins in with the peers and returns at once. The state is as of the last snapshot then; it
// catches up with the log as soon as there is a leader.
func Open(opts Options) (*Store, error) {
	s, err := open(opts)
	if err != nil {
		if opts.Stream != nil {
			_ = opts.Stream.Close()
		}
		return nil, fmt.Errorf("open log of monitor %s: %w", opts.Name, err)
	}
	return s, nil
}

func open(opts Options) (*Store, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{
		opts: opts, log: opts.Log.With().Str("component", "raftstore").Logger(),
		waiting: make(chan struct{}, maxWaiting), done: ctx.Done(), stop: stop, greeted: map[string]heard{},
	}
	s.machine = newMachine(s.die, s.watchers.wake, opts.Observer)
	raftLog := newRaftLog(opts.Log)
	if s.dir, err = openDirectory(opts.Dir, opts.Name, opts.Join, raftLog); err != nil {
		stop()
		return nil, err
	}
	if !s.dir.kept.IsZero() {
		s.machine.kept.Store(s.dir.kept.UnixNano())
	}
	if err := s.start(ctx, raftConfig(opts, raft.ServerID(s.dir.id), raftLog)); err != nil {
		stop()
		return nil, errors.Join(err, s.dir.close())
	}
	if err := s.form(); err != nil { // a cluster of one needs no hello
		ctx, cancel := context.WithTimeout(ctx, opts.ProposeWait)
		defer cancel()
		return nil, errors.Join(err, s.Shutdown(ctx))
	}
	return s, nil
}

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	switch {
	case o.Name == "" || o.Dir == "" || o.Stream == nil:
		return o, errors.New("name, data directory and stream are required")
	case o.Peers[o.Name] == "":
		return o, fmt.Errorf("monitor %q is not among the configured monitors", o.Name)
	case o.Expect != 0 && o.Expect != len(o.Peers):
		return o, fmt.Errorf("expect is %d but %d monitors are configured: list all of them", o.Expect, len(o.Peers))
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.ProposeWait == 0 {
		o.ProposeWait = defaultProposeWait
	}
	if o.Die == nil {
		o.Die = func(error) { os.Exit(exitCode) }
	}
	return o, nil
}

// start brings raft up on the opened directory.
func (s *Store) start(ctx context.Context, conf *raft.Config) error {
	if s.dir.halfFormed && s.opts.Name == lowest(s.opts.Peers) {
		return fmt.Errorf("forming the cluster was interrupted in %s; nothing is in it: remove it and start again", s.dir.path)
	}
	if s.opts.Ballast > 0 {
		if err := keepBallast(filepath.Join(s.dir.path, ballastFile), s.opts.Ballast); err != nil {
			return err
		}
	}
	lead, err := newLeadership(s)
	if err != nil {
		return err
	}
	notify := make(chan bool, 8)
	conf.NotifyCh = notify
	s.stream = newStream(s.opts.Stream, s.dir.id)
	s.network = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s.stream, ServerAddressProvider: peers(s.opts.Peers), Logger: conf.Logger,
		MaxPool: pooledConns, Timeout: rpcTimeout,
		MaxRPCsInFlight: 1, // pipelining can wedge a leader that then never commits again
	})
	store := &watchdog{inner: s.dir.db, limit: stall, die: s.die}
	if s.raft, err = raft.NewRaft(conf, s.machine, store, store, s.dir.snapshots, s.network); err != nil {
		if s.machine.failed != nil {
			err = s.machine.failed // raft's own error does not say why
		}
		return errors.Join(err, s.network.Close(), lead.canary.Close())
	}
	s.machine.opened.Store(true)
	observed := make(chan raft.Observation, 8)
	s.raft.RegisterObserver(raft.NewObserver(observed, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	}))
	s.assembly = newAssembly(s.opts.Name, s.dir.id, s.opts.Peers, s.dir.fresh)
	s.assembly.join = s.dir.taken
	s.wg.Go(func() { lead.run(ctx, notify, observed) })
	return nil
}

func raftConfig(opts Options, id raft.ServerID, log raftLogger) *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = id
	conf.HeartbeatTimeout = opts.Heartbeat
	conf.ElectionTimeout = opts.Heartbeat
	conf.LeaderLeaseTimeout = opts.Heartbeat / 2
	conf.CommitTimeout = commitTimeout
	conf.MaxAppendEntries = maxAppendEntries
	conf.BatchApplyCh = true
	conf.SnapshotInterval = snapshotInterval
	conf.SnapshotThreshold = snapshotThreshold
	conf.TrailingLogs = trailingLogs
	conf.ShutdownOnRemove = true
	conf.NoLegacyTelemetry = true
	conf.Logger = log
	return conf
}

// ID is this monitor's server id.
func (s *Store) ID() string { return s.dir.id }

// Taken says that this monitor was taken into a cluster that existed, perhaps in place of another machine of its name.
func (s *Store) Taken() bool { return s.dir.taken }

// State is what the log adds up to here. It never changes; a later call may return a later one.
func (s *Store) State() *planner.State { return s.machine.state.Load() }

// Watch returns a channel that holds a value whenever State, Leading or Leader may have changed since the last receive,
// and a function that ends it.
func (s *Store) Watch() (changed <-chan struct{}, stop func()) { return s.watchers.add() }

// Leading says that this monitor leads and that its State held all acknowledged entries when it began to.
func (s *Store) Leading() bool {
	term := s.ledTerm.Load()
	return term != 0 && s.raft.State() == raft.Leader && s.raft.CurrentTerm() == term
}

// Leader is the configured name of the monitor that leads, as far as this one knows.
func (s *Store) Leader() (name string, ok bool) {
	_, id := s.raft.LeaderWithID()
	return nameOf(string(id)), id != ""
}

// Shutdown hands leadership over if it is here, waits for the calls under way and closes everything, within ctx.
func (s *Store) Shutdown(ctx context.Context) error {
	s.shutOnce.Do(func() { s.shutErr = s.shutdown(ctx) })
	return s.shutErr
}

func (s *Store) shutdown(ctx context.Context) error {
	if s.raft.State() == raft.Leader {
		if err := s.Transfer(ctx); err != nil {
			s.log.Info().Err(err).Msg("shut down without handing leadership over")
		}
	}
	s.stop()
	for range maxWaiting { // raft leaves calls unanswered that it holds when it stops
		select {
		case s.waiting <- struct{}{}:
		case <-ctx.Done():
		}
	}
	_ = s.network.Close() // always nil; it ends listening
	s.stream.closeAll()
	stopped := make(chan struct{})
	go func() { // left behind only if the disk hangs, and then the process is about to end
		s.wg.Wait()
		_ = s.raft.Shutdown().Error()
		close(stopped)
	}()
	select {
	case <-stopped:
		return s.dir.close()
	case <-ctx.Done():
		return fmt.Errorf("shut down log of monitor %s: %w", s.opts.Name, ctx.Err())
	}
}

// die ends the process: what it was about to do must not happen.
func (s *Store) die(err error) {
	if s.dying.CompareAndSwap(false, true) {
		s.log.Error().Err(err).Msg("stopped: this monitor must not go on")
		s.opts.Die(err)
	}
}
