package node

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/raftstore"
)

// askLimit is how long a monitor that is taken for dead may take to show that it is not.
const askLimit = time.Second

// ReadCopy reads the data directory of a monitor that is stopped.
func ReadCopy(c MonitorConfig) (*raftstore.Copy, error) { return raftstore.ReadCopy(c.DataDir, c.Name) }

// Answering lists the other configured monitors that can be reached on their Raft or API address: their processes run.
func Answering(c MonitorConfig) []string {
	var alive []string
	for _, name := range names(c.Monitors) {
		own := c.Monitors[name]
		for _, address := range []string{join(own.Address, own.Raft), join(own.Address, own.API)} {
			if name == c.Name {
				continue
			}
			if conn, err := net.DialTimeout("tcp", address, askLimit); err == nil {
				_ = conn.Close()
				alive = append(alive, name)
				break
			}
		}
	}
	return alive
}

// Rescue is who recovers a cluster, and why.
type Rescue struct {
	By, Reason string
	Above      uint64 // a floor for the new index; 0: none
}

func (r Rescue) of(c MonitorConfig, source string) raftstore.Recovery {
	return raftstore.Recovery{
		Name: c.Name, Dir: c.DataDir, Address: join(c.Monitors[c.Name].Address, c.Monitors[c.Name].Raft),
		By: r.By, Reason: r.Reason, Source: source, Above: r.Above, At: time.Now().UTC(),
	}
}

// Recover makes a stopped monitor the only one of its cluster, with what its copy of the log holds. See raftstore.Recover.
func Recover(c MonitorConfig, copied *raftstore.Copy, r Rescue) (raftstore.Recovered, error) {
	return raftstore.Recover(r.of(c, "the log of "+copied.ID), copied)
}

// ResumeRecovery ends a recovery that was interrupted; false: there was none.
func ResumeRecovery(c MonitorConfig) (bool, error) { return raftstore.Resume(c.DataDir) }

// ReadSnapshot reads a saved snapshot.
func ReadSnapshot(r io.Reader) (raftstore.SavedHeader, *planner.State, error) {
	return raftstore.ReadSaved(r)
}

// Restore makes a monitor with an empty data directory the only one of a cluster that goes on from a saved snapshot.
func Restore(c MonitorConfig, h raftstore.SavedHeader, state *planner.State, r Rescue) (raftstore.Recovered, error) {
	source := fmt.Sprintf("a snapshot of %s", h.Saved.UTC().Format(time.RFC3339))
	return raftstore.Restore(r.of(c, source), state, h.Index, h.Term)
}
