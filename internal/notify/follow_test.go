package notify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// world is a monitor as a Log.
type world struct{ *consoletest.Monitor }

var _ Log = world{}

func (w world) State() *planner.State { return w.Look().State }
func (w world) Leading() bool         { return w.Look().Leading }

// lead lets the monitor lead, or lead no more.
func (w world) lead(yes bool) { w.Change(nil, func(look *console.Look) { look.Leading = yes }) }

// note puts events into the log: n times a plan armed or disarmed.
func (w world) note(n int) {
	for range n {
		if plan, _ := w.State().Plans.Get("restart-elsewhere"); plan.Armed {
			w.Must(planner.PlanDisarmed{Plan: "restart-elsewhere"})
		} else {
			w.Must(planner.PlanArmed{Plan: "restart-elsewhere"})
		}
	}
}

// catchUp lets the bubble's clock reach a moment after the newest entry.
func (w world) catchUp(after time.Duration) { time.Sleep(time.Until(w.State().At.Add(after))) }

// paper is where a test writes down what was told.
type paper struct {
	mu    sync.Mutex
	lines []uint64
	err   error // of the next publish
}

func (p *paper) Publish(subject string, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	var m Message
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	if want := wire.EventSubject(m.Item.Name); subject != want {
		return errors.New("published on " + subject + ", want " + want)
	}
	p.lines = append(p.lines, m.Item.Index)
	return nil
}

func (p *paper) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// take returns what was told since the last call.
func (p *paper) take() []uint64 {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// span is the numbers from first to last.
func span(first, last uint64) []uint64 {
	var list []uint64
	for ; first <= last; first++ {
		list = append(list, first)
	}
	return list
}

func expect(t *testing.T, what string, got, want []uint64) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestStreamFollowsTheLead: the events of the last ten minutes when a monitor begins to lead, then each as it comes, and
// nothing while another one leads.
func TestStreamFollowsTheLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, told := world{consoletest.Installed()}, &paper{}
		w.lead(false)
		first := w.State().Index
		w.catchUp(-overlap - time.Second) // the newest two entries are younger than the overlap
		w.catchUp(overlap - 1500*time.Millisecond)
		stream := NewStream("mon-1", w, told, zerolog.Nop())
		go func() { _ = stream.Run(t.Context()) }()
		expect(t, "while another one leads", told.take(), nil)
		w.lead(true)
		expect(t, "at the beginning", told.take(), span(first-1, first))
		for i := range 3 {
			w.note(1)
			expect(t, "as they come", told.take(), span(first+uint64(i)+1, first+uint64(i)+1))
		}
		if got := stream.Published(); got != first+3 {
			t.Errorf("published up to %d, want %d", got, first+3)
		}
		w.lead(false)
		w.Change(nil, func(*console.Look) {})
		expect(t, "after it led", told.take(), nil)
		w.lead(true)
		w.note(2)
		expect(t, "when it leads again, nothing twice", told.take(), span(first+4, first+5))
	})
}

// TestStreamKeepsTheOrder: what NATS does not take comes later, and nothing overtakes it.
func TestStreamKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, told := world{consoletest.Installed()}, &paper{}
		w.catchUp(time.Hour)
		last := w.State().Index
		go func() { _ = NewStream("mon-1", w, told, zerolog.Nop()).Run(t.Context()) }()
		expect(t, "nothing is young enough", told.take(), nil)
		told.fail(bus.ErrDisconnected)
		w.note(3)
		expect(t, "while NATS is away", told.take(), nil)
		w.note(2)
		time.Sleep(time.Minute) // of the bubble
		told.fail(nil)
		time.Sleep(retryTake)
		expect(t, "when NATS is back", told.take(), span(last+1, last+5))
	})
}

// TestStreamOnNATS: a listener hears the events as documents of the API, each on its subject and in order.
func TestStreamOnNATS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := bus.StartServer(bus.ServerOptions{Name: "m1", DontListen: true, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Shutdown()
		conn, err := bus.Dial(bus.Options{Name: "monitor", InProcess: server, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		w, heard := world{consoletest.Lost()}, &paper{}
		last := Message{}
		if _, err := conn.Subscribe(wire.AllEvents(), func(subject string, data []byte) {
			last = Message{}
			if err := errors.Join(heard.Publish(subject, data), json.Unmarshal(data, &last)); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- NewStream("mon-1", w, conn, zerolog.Nop()).Run(ctx) }()
		time.Sleep(time.Second) // of the bubble; the entries are younger than its clock
		expect(t, "heard", heard.take(), span(1, w.State().Index))
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		logged, _ := w.State().Logged(w.State().Index)
		want := message("mon-1", w.State(), logged)
		if diff := cmp.Diff(want, last, cmp.Comparer(func(a, b console.Time) bool { return a.Equal(b.Time) })); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if last.Cluster != "shop" || last.ClusterID == "" || last.Kind != "Event" || last.Item.Name != "step.started" {
			t.Errorf("got %+v", last)
		}
	})
}

// TestLargeEventsLoseTheirDetail: what is told fits into a message of the bus.
func TestLargeEventsLoseTheirDetail(t *testing.T) {
	detail, err := json.Marshal(map[string]string{"text": string(slices.Repeat([]byte("x"), wire.MaxMessage))})
	if err != nil {
		t.Fatal(err)
	}
	m := Message{Item: console.EventItem{EventLine: console.EventLine{Index: 7, Name: "files.applied"}, Detail: detail}}
	if text, err := encode(m, 0); err != nil || len(text) < wire.MaxMessage {
		t.Errorf("without a limit: %d bytes, %v", len(text), err)
	}
	text, err := encode(m, wire.MaxMessage)
	if err != nil || len(text) > wire.MaxMessage {
		t.Errorf("with a limit: %d bytes, %v", len(text), err)
	}
	var got Message
	if err := json.Unmarshal(text, &got); err != nil || got.Item.Index != 7 || string(got.Item.Detail) != "{}" {
		t.Errorf("got %+v, %v", got, err)
	}
}
