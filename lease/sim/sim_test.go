package sim

import (
	"bytes"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
)

var (
	onlySeed   = flag.Uint64("seed", 0, "run this seed only, and tell its story")
	onlyMutant = flag.Int("mutant", -1, "with -seed: under this mutant and its own faults, by its number")
	stormRuns  = flag.Uint64("runs", 1000, "runs of the storm")
	undirected = flag.Uint64("undirected", 0, "search for each mutant in the undirected storm, in so many runs at most")
)

const (
	mostRuns  = 2000 // within which the directed faults must catch their mutant
	soundRuns = 40   // of each mutant's faults without the mutant
	reapplied = 50   // one run in so many is folded anew
)

// tellStory runs one seed and tells what happens in it.
func tellStory(t *testing.T) {
	p, mut := storm(), none
	if *onlyMutant >= 0 {
		d := directed[*onlyMutant]
		p, mut = d.profile(), d.mutant
		t.Logf("mutant: %s", mut)
	}
	if why := newSim(*onlySeed, p, mut, func(line string) { t.Log(line) }).run(); why != "" {
		t.Error(why)
	}
}

// TestStorm: the protocol as it is keeps its promise in all seeds.
func TestStorm(t *testing.T) {
	if *onlySeed != 0 {
		tellStory(t)
		return
	}
	began := time.Now()
	var seeds, starts, moves, applied atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := seeds.Add(1); seed <= *stormRuns && !t.Failed(); seed = seeds.Add(1) {
				s := newSim(seed, storm(), none, nil)
				if why := s.run(); why != "" {
					t.Errorf("seed %d: %s\ntell its story with: go test ./lease/sim -run TestStorm -v -seed %d", seed, why, seed)
				}
				starts.Add(s.starts)
				moves.Add(s.moves)
				applied.Add(s.newest())
				if seed%reapplied == 0 {
					if err := s.reapply(); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d runs of %s, %d starts, %d of them on another host than before, %d entries, in %s",
		*stormRuns, storm().length, starts.Load(), moves.Load(), applied.Load(), time.Since(began).Round(time.Second))
	if moves.Load() < *stormRuns {
		t.Errorf("the storm proves nothing: %d moves in %d runs", moves.Load(), *stormRuns)
	}
}

// TestMutants: each rule is needed, and the faults that it is there for show that; the protocol as it is stands them.
func TestMutants(t *testing.T) {
	if *onlySeed != 0 {
		t.Skip("one story is told by TestStorm")
	}
	for i, d := range directed {
		t.Run(string(d.mutant), func(t *testing.T) {
			t.Parallel()
			n, why := search(d.profile(), d.mutant, mostRuns)
			if why == "" {
				t.Errorf("the mutant survived %d runs under its own faults", n)
			}
			t.Logf("caught by seed %d: %s\ntell its story with: go test ./lease/sim -run TestStorm -v -mutant %d -seed %d", n, why, i, n)
			if seed, why := search(d.profile(), none, soundRuns); why != "" {
				t.Errorf("the protocol as it is, under these faults, seed %d: %s", seed, why)
			}
		})
	}
}

// TestMutantsInTheStorm says how many runs of the undirected storm each mutant takes. It fails for none: what is rare is
// what the directed faults are for.
func TestMutantsInTheStorm(t *testing.T) {
	if *undirected == 0 {
		t.Skip("make storm searches for each mutant in the storm")
	}
	for _, d := range directed {
		t.Run(string(d.mutant), func(t *testing.T) {
			t.Parallel()
			n, why := search(storm(), d.mutant, *undirected)
			if why == "" {
				t.Logf("not in %d runs", n)
				return
			}
			t.Logf("in run %d: %s", n, why)
		})
	}
}

// search runs seed after seed until something goes wrong, and says at which.
func search(p profile, mut mutant, most uint64) (uint64, string) {
	for seed := uint64(1); seed <= most; seed++ {
		if why := newSim(seed, p, mut, nil).run(); why != "" {
			return seed, why
		}
	}
	return most, ""
}

// reapply folds the log anew from its bytes, with a snapshot on the way, as another monitor would.
func (s *sim) reapply() error {
	state := planner.NewState()
	restore := s.rnd.IntN(len(s.entries))
	for i, e := range s.entries[1:] {
		data, err := planner.EncodeEntry(e)
		if err != nil {
			return err
		}
		decoded, err := planner.DecodeEntry(data)
		if err != nil {
			return err
		}
		state, _ = state.Apply(s.states[i+1].Index, decoded)
		if i == restore {
			if state, err = planner.DecodeState(bytes.NewReader(encoded(state))); err != nil {
				return err
			}
		}
	}
	if got, want := encoded(state), encoded(s.head()); !bytes.Equal(got, want) {
		return fmt.Errorf("two monitors that applied the same log differ:\n%s\n%s", got, want)
	}
	return nil
}

func encoded(s *planner.State) []byte {
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}
