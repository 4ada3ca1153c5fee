package raftstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holter-ha/holter/planner"
)

// A saved snapshot is three parts in lines: what it is and its version, a header for people, and the state; and a last line
// with the SHA-256 of all that stands before it. So it can be written as a stream, and one that was cut or damaged is known.
const (
	savedMagic   = "holter-snapshot 1\n"
	savedSum     = "sha256 "
	sumLine      = len(savedSum) + 2*sha256.Size + 1
	maxSaved     = 1 << 30
	savedVersion = 1
)

// SavedHeader says what a saved snapshot holds.
type SavedHeader struct {
	V          int       `json:"v"`
	Cluster    string    `json:"cluster"`
	Name       string    `json:"name,omitempty"` // of the cluster, from its inventory
	Index      uint64    `json:"index"`
	Term       uint64    `json:"term"`
	At         time.Time `json:"at"` // log time
	Saved      time.Time `json:"saved"`
	Monitor    string    `json:"monitor"` // that saved it
	Generation uint64    `json:"generation,omitempty"`
	Hosts      int       `json:"hosts"`
	Workloads  int       `json:"workloads"`
	Plans      int       `json:"plans"`
	Runs       int       `json:"runs"`
	Events     int       `json:"events"`
}

// Save writes what this monitor's log adds up to now.
func (s *Store) Save(w io.Writer) error {
	term, state := s.raft.CurrentTerm(), s.State()
	if state.Cluster == "" {
		return errors.New("save a snapshot: this monitor is in no cluster yet")
	}
	return save(w, state, SavedHeader{Term: term, Saved: time.Now().UTC(), Monitor: s.opts.Name})
}

func save(w io.Writer, state *planner.State, h SavedHeader) error {
	h.V, h.Cluster, h.Index, h.At, h.Generation = savedVersion, state.Cluster, state.Index, state.At, state.Generation
	if state.Inventory != nil {
		h.Name = state.Inventory.Cluster.Name
	}
	h.Hosts, h.Workloads, h.Plans, h.Runs, h.Events = state.Hosts.Len(), state.Workloads.Len(), state.Plans.Len(), state.Runs.Len(), state.Events.Len()
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	if _, err := io.WriteString(out, savedMagic); err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	if err := json.NewEncoder(out).Encode(h); err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	if err := state.Encode(out); err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s%x\n", savedSum, sum.Sum(nil)); err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	return nil
}

// ReadSaved reads a saved snapshot. One that is cut, damaged, or of another version is refused.
func ReadSaved(r io.Reader) (SavedHeader, *planner.State, error) {
	var h SavedHeader
	text, err := io.ReadAll(io.LimitReader(r, maxSaved+1))
	switch {
	case err != nil:
		return h, nil, err
	case len(text) > maxSaved:
		return h, nil, fmt.Errorf("it is larger than %d MiB", maxSaved>>20)
	case !bytes.HasPrefix(text, []byte(savedMagic)):
		return h, nil, errors.New("it is no snapshot of this version of Holter")
	case len(text) < len(savedMagic)+sumLine:
		return h, nil, errors.New("it is cut off")
	}
	body, last := text[:len(text)-sumLine], text[len(text)-sumLine:]
	sum := sha256.Sum256(body)
	if want := savedSum + hex.EncodeToString(sum[:]) + "\n"; string(last) != want {
		return h, nil, errors.New("it is damaged or cut off: its checksum is not that of its content")
	}
	head, rest, _ := bytes.Cut(body[len(savedMagic):], []byte("\n"))
	if err := json.Unmarshal(head, &h); err != nil {
		return h, nil, fmt.Errorf("read its header: %w", err)
	}
	if h.V != savedVersion {
		return h, nil, fmt.Errorf("it is of version %d, this program knows %d", h.V, savedVersion)
	}
	state, err := planner.DecodeState(bytes.NewReader(rest))
	if err != nil {
		return h, nil, explain(err)
	}
	if state.Index != h.Index || state.Cluster != h.Cluster || state.Cluster == "" {
		return h, nil, errors.New("its header is of another state")
	}
	return h, state, nil
}
