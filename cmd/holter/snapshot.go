package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/node"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/raftstore"
)

func newSnapshotCommand(a *app) *cobra.Command {
	return newNoun("snapshot", "Save, inspect and restore the state of the cluster",
		newSnapshotSaveCommand(a), newSnapshotInspectCommand(a), newSnapshotRestoreCommand(a))
}

func newSnapshotSaveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "save FILE", Short: "Save the state of the cluster to a file", Args: exactly("FILE"),
		Long: `Save the state of the cluster to a file, while everything goes on. It holds the inventory, the plans, what runs where, the users and
the last events, and no private key; the hashes of tokens are in it: keep it as you keep backups of passwords.
A file that exists is not overwritten.`,
		Example: "  holter snapshot save holter-$(date +%F).snap",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.saveSnapshot(cmd, args[0])
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(h)
			}
			a.printf("saved #%d of %s to %s\n", h.Index, h.At.UTC().Format(time.RFC3339), args[0])
			return nil
		},
	}
}

// saveSnapshot downloads a snapshot beside the file, reads it back, and gives it its name only then.
func (a *app) saveSnapshot(cmd *cobra.Command, path string) (h raftstore.SavedHeader, err error) {
	if _, err := os.Lstat(path); err == nil {
		return h, withExit(console.ExitRefused, fmt.Errorf("%s exists; nothing was changed", path))
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // for its owner only
	if err != nil {
		return h, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // unless it has its name by then
	client := a.client()
	defer client.Close()
	err = client.Snapshot(cmd.Context(), f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return h, err
	}
	if h, _, err = readSnapshot(f.Name()); err != nil {
		return h, fmt.Errorf("what came of the monitors is no whole snapshot: %w", err)
	}
	err = os.Link(f.Name(), path) // fails if the name was taken meanwhile
	if errors.Is(err, fs.ErrExist) {
		return h, withExit(console.ExitRefused, fmt.Errorf("%s exists; nothing was changed", path))
	}
	return h, err
}

func readSnapshot(path string) (raftstore.SavedHeader, *planner.State, error) {
	f, err := os.Open(path)
	if err != nil {
		return raftstore.SavedHeader{}, nil, err
	}
	defer func() { _ = f.Close() }()
	h, state, err := node.ReadSnapshot(bufio.NewReader(f))
	if err != nil {
		return h, nil, withExit(console.ExitInvalid, fmt.Errorf("snapshot %s: %w; nothing was changed", path, err))
	}
	return h, state, nil
}

func newSnapshotInspectCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Check a saved snapshot and show what it holds", Args: exactly("FILE"),
		Example: "  holter snapshot inspect holter.snap",
		RunE: func(_ *cobra.Command, args []string) error {
			h, state, err := readSnapshot(args[0])
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(h)
			}
			a.printf("term    %d\nindex   #%d, of %s\nsaved   %s by %s\n", h.Term, h.Index, h.At.UTC().Format(time.RFC3339),
				h.Saved.UTC().Format(time.RFC3339), h.Monitor)
			a.showState(state)
			a.printf("whole   its checksum is right\n")
			return nil
		},
	}
}

func newSnapshotRestoreCommand(a *app) *cobra.Command {
	var config string
	var rescue node.Rescue
	cmd := &cobra.Command{
		Use: "restore FILE --config FILE --reason TEXT", Short: "Begin a cluster anew from a saved snapshot, with one monitor", Args: exactly("FILE"),
		Long: `Begin a cluster anew from a saved snapshot, with one monitor whose data directory is empty. For when no monitor's data directory is
left. What happened since the snapshot was saved is lost, and treated as by holter monitor recover: see there for what follows.`,
		Example: "  holter snapshot restore holter.snap --config m1.yaml --reason \"all disks are gone\"",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.rescued(config, &rescue, "to restore a snapshot")
			if err != nil {
				return err
			}
			h, state, err := readSnapshot(args[0])
			if err != nil {
				return err
			}
			what := fmt.Sprintf("%s begins alone from #%d, of %s. What has happened since is lost.", c.Name, h.Index, h.At.UTC().Format(time.RFC3339))
			if err := a.typed(c.Name, "restore the snapshot there", what); err != nil {
				return err
			}
			restored, err := node.Restore(c, h, state, rescue)
			if err != nil {
				return withExit(console.ExitRefused, err)
			}
			a.printf("%s begins alone, at #%d; the snapshot went up to #%d\n", restored.ID, restored.Index, restored.From)
			a.showNext(c)
			return nil
		},
	}
	rescueFlags(cmd, &rescue)
	return withConfig(cmd, &config)
}
