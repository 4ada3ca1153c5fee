package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/internal/audit"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holter": main})
}

// TestScripts runs the program itself: exit codes, stdout and stderr. A script that begins a cluster talks to a monitor in
// this process.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("LANG", "C.UTF-8")
			e.Setenv("HOLTER_SERVER", "127.0.0.1:1") // nobody listens there
			e.Values[monitorKey{}] = new(*consoletest.Monitor)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster": cluster, "awaitrun": awaitRun, "step": step, "endrun": endRun, "noquorum": noQuorum, "exits": exits,
			"auditfile": auditFile, "bigfile": bigFile, "lose": lose, "flap": flap, "seeoff": seeOff, "expire": expire, "fenceitself": fenceItself,
		},
	})
}

// monitorKey is the key of a script's monitor.
type monitorKey struct{}

func monitor(ts *testscript.TestScript) *consoletest.Monitor {
	return *ts.Value(monitorKey{}).(**consoletest.Monitor)
}

// cluster empty|installed|shop|guarded begins a cluster and names it in HOLTER_SERVER.
func cluster(ts *testscript.TestScript, _ bool, args []string) {
	var m *consoletest.Monitor
	switch args[0] {
	case "empty":
		m = consoletest.New("mon-1")
	case "installed":
		m = consoletest.Installed()
	case "shop":
		m = consoletest.Shop()
	case "guarded":
		m = consoletest.Guarded()
	default:
		ts.Fatalf("cluster %s: it is empty, installed, shop or guarded", args[0])
	}
	*ts.Value(monitorKey{}).(**consoletest.Monitor) = m
	server := httptest.NewServer(console.NewServer(m, zerolog.Nop()))
	ts.Defer(server.CloseClientConnections)
	ts.Defer(server.Close)
	ts.Setenv("HOLTER_SERVER", server.URL)
}

// scriptTimeout bounds the waiting of a script's command.
const scriptTimeout = 20 * time.Second

// awaitrun N waits until run N has been started.
func awaitRun(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args[0])
	changed, stop := monitor(ts).Watch()
	defer stop()
	timeout := time.After(scriptTimeout)
	for monitor(ts).Look().State.LastRun < n {
		select {
		case <-changed:
		case <-timeout:
			ts.Fatalf("run %d was never started", n)
		}
	}
}

// step RUN STEP HOST OUTCOME lets a step begin and end.
func step(ts *testscript.TestScript, _ bool, args []string) {
	monitor(ts).Step(number(ts, args[0]), args[1], args[2], wire.Outcome(args[3]))
}

// endrun RUN OUTCOME ends a run.
func endRun(ts *testscript.TestScript, _ bool, args []string) {
	monitor(ts).Must(planner.RunEnded{Run: number(ts, args[0]), Outcome: planner.RunState(args[1])})
}

// noquorum lets the monitor know no leader.
func noQuorum(ts *testscript.TestScript, _ bool, _ []string) {
	monitor(ts).Change(nil, func(look *console.Look) { look.Leading, look.Leader, look.LeaderContact = false, "", 192*time.Second })
}

// bigfile NAME N writes a file of N MiB.
func bigFile(ts *testscript.TestScript, _ bool, args []string) {
	line := []byte("# <a comment> that is \"long\"\n")
	text := bytes.Repeat(line, int(number(ts, args[1]))<<20/len(line)+1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

// auditfile NAME MONITOR writes the cluster's log as the audit file of a monitor.
func auditFile(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs("audit-of-" + args[1])
	ts.Check(os.MkdirAll(dir, 0o700))
	log, err := audit.Open(audit.Options{Monitor: args[1], Dir: dir})
	ts.Check(err)
	monitor(ts).Replay(log.Applied)
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	ts.Check(log.Close(ctx))
	ts.Check(os.Rename(filepath.Join(dir, audit.FileName), ts.MkAbs(args[0])))
}

// lose HOST lets a host be lost.
func lose(ts *testscript.TestScript, _ bool, args []string) { monitor(ts).Lose(args[0]) }

// flap HOST loses a host and takes it in again until it is quarantined.
func flap(ts *testscript.TestScript, _ bool, args []string) { monitor(ts).Flap(args[0]) }

// seeoff RUN HOST lets a run that is to fence a host see it off.
func seeOff(ts *testscript.TestScript, _ bool, args []string) {
	monitor(ts).SeeOff(number(ts, args[0]), args[1])
}

// expire HOST KIND brings in evidence of a lost host.
func expire(ts *testscript.TestScript, _ bool, args []string) {
	monitor(ts).Expire(args[0], planner.EvidenceKind(args[1]))
}

// fenceitself HOST lets a host's agent say that it has stopped what is exclusive, as its lease had ended.
func fenceItself(ts *testscript.TestScript, _ bool, args []string) {
	monitor(ts).Hear(args[0], func(heard *planner.HostPicture) {
		heard.Lease = wire.LeaseStatus{
			Left: -62 * time.Second, Fenced: 1, FencedAgo: time.Minute, Why: "no majority of the monitors has renewed it in time",
		}
	})
}

// exits CODE COMMAND… runs a command that must end with a code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = fmt.Sprint(err)[len("exit status "):]
	}
	if got != args[0] {
		ts.Fatalf("%v ended with %s, want %s", args[1:], got, args[0])
	}
}

func number(ts *testscript.TestScript, text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	ts.Check(err)
	return n
}
