package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
)

// maxEntry bounds an entry's bytes, so that it is replicated well within rpcTimeout.
const maxEntry = 8 << 20

var (
	errClosed = errors.New("the log is shut down")
	errBusy   = errors.New("too many calls wait for the log")
)

// Propose makes e an entry of the log and applies it here, within ctx and Options.ProposeWait. At is the caller's.
//
// The error is planner.ErrNotLeader if nothing was proposed, *planner.Refusal if the entry is in the log (at the index
// returned) but had no effect, and planner.ErrOutcomeUnknown otherwise: the entry may be applied, now or later, or never.
func (s *Store) Propose(ctx context.Context, e planner.Entry) (index uint64, err error) {
	if !s.Leading() {
		return 0, planner.ErrNotLeader
	}
	return s.propose(ctx, e)
}

// propose is Propose without the demand that this monitor has taken over already.
func (s *Store) propose(ctx context.Context, e planner.Entry) (uint64, error) {
	b, err := planner.EncodeEntry(e)
	if err != nil {
		return 0, fmt.Errorf("encode %s: %w", e.Event.Name(), err)
	}
	if len(b) > maxEntry {
		return 0, &planner.Refusal{
			Code:    planner.CodeInvalid,
			Message: fmt.Sprintf("%s has %d bytes; an entry may have %d", e.Event.Name(), len(b), maxEntry),
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.ProposeWait)
	defer cancel()
	var future raft.ApplyFuture
	err = s.await(ctx, func() error {
		future = s.raft.Apply(b, s.opts.ProposeWait)
		return future.Error()
	})
	if err != nil {
		return 0, outcome(err)
	}
	answer := future.Response().(applied)
	if answer.unknown != nil {
		return 0, fmt.Errorf("%w: %w", planner.ErrOutcomeUnknown, answer.unknown)
	}
	if answer.refusal != nil {
		return future.Index(), answer.refusal
	}
	return future.Index(), nil
}

// outcome says what an error of raft means for an entry.
func outcome(err error) error {
	for _, before := range []error{
		raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout, errClosed, errBusy,
	} {
		if errors.Is(err, before) {
			return fmt.Errorf("%w: %w", planner.ErrNotLeader, err)
		}
	}
	return fmt.Errorf("%w: %w", planner.ErrOutcomeUnknown, err)
}

// Verify asks a majority whether this monitor still leads: planner.ErrNotLeader if it does not.
func (s *Store) Verify(ctx context.Context) error {
	err := s.await(ctx, func() error { return s.raft.VerifyLeader().Error() })
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) || errors.Is(err, errClosed) {
		return fmt.Errorf("verify leadership: %w", planner.ErrNotLeader)
	}
	if err != nil {
		return fmt.Errorf("verify leadership: %w", err)
	}
	return nil
}

// ReadIndex returns an index of the log: whoever has applied it has applied all that was committed before the call. Only a
// verified leader can tell; it has applied it itself. The error is planner.ErrNotLeader on any other.
func (s *Store) ReadIndex(ctx context.Context) (uint64, error) {
	if !s.Leading() {
		return 0, fmt.Errorf("read index: %w", planner.ErrNotLeader)
	}
	// The barrier passes the machine after everything that was committed before it; the verification is younger than the call.
	if err := s.await(ctx, func() error { return s.raft.Barrier(s.opts.ProposeWait).Error() }); err != nil {
		return 0, fmt.Errorf("read index: %w", outcome(err))
	}
	if err := s.Verify(ctx); err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	return s.State().Index, nil
}

// Transfer hands leadership to the monitor that is furthest. After success this monitor does not lead; another is about to.
func (s *Store) Transfer(ctx context.Context) error {
	err := s.await(ctx, func() error { return s.raft.LeadershipTransfer().Error() })
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, errClosed) {
		return fmt.Errorf("transfer leadership: %w", planner.ErrNotLeader)
	}
	if err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return nil
}

// await runs a call that waits for raft, for no longer than ctx: a raft future may never answer (hashicorp/raft#498). The
// call then stays behind with its token, so the number of those is limited.
func (s *Store) await(ctx context.Context, call func() error) error {
	select {
	case <-s.done:
		return errClosed
	default:
	}
	select {
	case s.waiting <- struct{}{}:
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return errBusy
	}
	answer := make(chan error, 1)
	go func() { // waited for by shutdown, which collects all tokens
		answer <- call()
		<-s.waiting
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
