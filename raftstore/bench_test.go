package raftstore

import (
	"context"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// BenchmarkPropose is three monitors over loopback TCP with their logs on the real disk, from the call to the
// acknowledgement.
func BenchmarkPropose(b *testing.B) {
	leader := benchCluster(b)
	plan := planner.FilesApplied{Set: plans.Set{Plans: []*plans.Plan{{Name: "p"}}}}
	if _, err := leader.Propose(b.Context(), planner.Entry{Event: plan}); err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 64} {
		b.Run("callers="+strconv.Itoa(callers), func(b *testing.B) {
			if callers == 1 {
				for b.Loop() {
					propose(b, leader)
				}
				return
			}
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					propose(b, leader)
				}
			})
		})
	}
}

func propose(b *testing.B, s *Store) {
	if _, err := s.Propose(b.Context(), note("x")); err != nil {
		b.Error(err)
	}
}

func benchCluster(b *testing.B) *Store {
	dir, peers, layers := b.TempDir(), map[string]string{}, map[string]raft.StreamLayer{}
	for _, name := range []string{"m1", "m2", "m3"} {
		layer, err := ListenTCP("127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		layers[name], peers[name] = layer, layer.Addr().String()
	}
	var stores []*Store
	for name, layer := range layers {
		s, err := Open(Options{
			Name: name, Dir: filepath.Join(dir, name), Stream: layer, Peers: peers, MinFree: -1,
			Die: func(err error) { b.Errorf("died: %v", err) },
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				b.Error(err)
			}
		})
		stores = append(stores, s)
	}
	for _, to := range stores {
		for _, from := range stores {
			if err := to.ObserveHello(from.Hello()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return elected(b, stores)
}

func elected(b *testing.B, stores []*Store) *Store {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		for _, s := range stores {
			if s.Leading() {
				return s
			}
		}
	}
	b.Fatal("nobody leads after 10 s")
	return nil
}
