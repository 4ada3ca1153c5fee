package guest

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// board holds what came from a guest until somebody takes it. It is as long as what one test is told. It has a mutex
// because several goroutines wait at once, each for another thing.
type board[T any] struct {
	mu      sync.Mutex
	items   []T
	changed chan struct{} // closed and replaced at each change
	end     error         // why nothing more comes
}

func newBoard[T any]() *board[T] { return &board[T]{changed: make(chan struct{})} }

func (b *board[T]) post(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, item)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *board[T]) finish(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end = err
	close(b.changed)
	b.changed = make(chan struct{})
}

// take waits for the first item that matches and removes it.
func (b *board[T]) take(ctx context.Context, matches func(T) bool) (T, error) {
	for {
		item, found, changed, end := b.look(matches)
		if found || end != nil {
			return item, end
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return item, ctx.Err()
		}
	}
}

func (b *board[T]) look(matches func(T) bool) (item T, found bool, changed <-chan struct{}, end error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.items, matches); i >= 0 {
		item = b.items[i]
		b.items = slices.Delete(b.items, i, i+1)
		return item, true, b.changed, nil
	}
	return item, false, b.changed, b.end
}

// socketPair makes a connection whose one end is for a child process. It needs no path, and ends when the child does.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "guest"), os.NewFile(uintptr(fds[1]), "guest")
	conn, err := net.FileConn(ours) // a duplicate
	_ = ours.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("use a pair of sockets: %w", err)
	}
	return conn, theirs, nil
}
