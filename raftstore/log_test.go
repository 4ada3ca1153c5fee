package raftstore

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

func TestRaftLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newRaftLog(zerolog.New(&out))
		log.Error("failed to heartbeat to", "peer", "m2", "error", errors.New("refused"))
		log.Error("failed to heartbeat to", "peer", "m2", "error", errors.New("refused"))
		log.Error("failed to heartbeat to", "peer", "m3", "error", errors.New("refused"))
		log.Debug("not for people")
		log.With("term", 7).Info("election won", "servers", hclog.Fmt("%d of %d", 2, 3))
		time.Sleep(repeatAfter)
		log.Warn("failed to heartbeat to", "peer", "m2")
		const want = `{"level":"warn","component":"raft","peer":"m2","err":"refused","message":"failed to heartbeat to"}
{"level":"warn","component":"raft","peer":"m3","err":"refused","message":"failed to heartbeat to"}
{"level":"debug","component":"raft","term":"7","servers":"2 of 3","message":"election won"}
{"level":"info","component":"raft","peer":"m2","message":"failed to heartbeat to"}
`
		if got := out.String(); got != want {
			t.Errorf("log:\n%s\nwant\n%s", got, want)
		}
	})
}
