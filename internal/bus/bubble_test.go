package bus

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/internal/bus/faultnet"
	"github.com/holter-ha/holter/wire"
)

const (
	beatEvery = 250 * time.Millisecond
	// noticed is the longest that a client takes to notice that its server is silent: three ticks of its ping.
	noticed = (clientPingsOut + 1) * clientPing
	// dialled is the longest that a client takes to be back once its link is whole: one wait between two rounds of its servers,
	// and a millisecond in which nothing else is under way.
	dialled = redialWait + redialJitter + time.Millisecond
)

// world is a server, an agent that beats over a Pair, and a monitor that hears it, in virtual time.
type world struct {
	agent, monitor *faultnet.Party
	pair           *Pair
	conn           *Conn
	arrived        chan time.Duration // age of each beat on arrival
	begun          time.Time
}

// inBubble runs a test in virtual time. The agent beats until the test ends.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := StartServer(ServerOptions{Name: "m1", DontListen: true})
		if err != nil {
			t.Fatal(err)
		}
		net := faultnet.New(s)
		w := &world{agent: net.Party("east-1"), monitor: net.Party("m1"), arrived: make(chan time.Duration, 1<<14), begun: time.Now()}
		if w.conn, err = Dial(Options{Name: "m1", InProcess: w.monitor}); err != nil {
			t.Fatal(err)
		}
		if w.pair, err = DialPair(Options{Name: "east-1", InProcess: w.agent}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.conn.Subscribe(wire.AllBeats(), w.hear); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { w.beat(stop); close(stopped) }()
		test(t, w)
		close(stop)
		<-stopped
		w.pair.Close()
		w.conn.Close()
		net.Close()
		s.Shutdown()
	})
}

func (w *world) beat(stop <-chan struct{}) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for seq := uint32(1); ; seq++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			b := wire.Beat{Host: []byte("east-1"), Inc: 1, Seq: seq, Stamp: time.Since(w.begun)}
			w.pair.Beat(wire.BeatSubject("east-1"), wire.AppendBeat(nil, &b))
		}
	}
}

func (w *world) hear(_ string, data []byte) {
	var b wire.Beat
	if err := wire.DecodeBeat(data, &b); err != nil {
		panic(err)
	}
	w.arrived <- time.Since(w.begun) - b.Stamp
}

// heard lets time pass and returns the ages of the beats that arrived.
func (w *world) heard(d time.Duration) []time.Duration {
	time.Sleep(d)
	synctest.Wait()
	var ages []time.Duration
	for len(w.arrived) > 0 {
		ages = append(ages, <-w.arrived)
	}
	return ages
}

// wantFresh checks that every beat of a while arrived over both connections, at an age.
func (w *world) wantFresh(t *testing.T, d, age time.Duration) {
	t.Helper()
	ages := w.heard(d)
	if want := int(d / beatEvery * 2); len(ages) != want {
		t.Errorf("heard %d beats within %v, want %d", len(ages), d, want)
	}
	for _, got := range ages {
		if got != age {
			t.Errorf("heard a beat of age %v, want %v", got, age)
		}
	}
}

func TestBubbleQuiet(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.wantFresh(t, time.Hour/4, 0)
		if got := w.pair.Unsent(); got != 0 {
			t.Errorf("%d beats were not sent, want 0", got)
		}
		if !w.conn.Connected() || !w.conn.Since().Equal(w.begun) {
			t.Errorf("the monitor is connected: %v since %v, want since %v", w.conn.Connected(), w.conn.Since(), w.begun)
		}
	})
}

func TestBubbleCutAndHeal(t *testing.T) {
	for name, cut := range map[string]func(*faultnet.Party){
		"both":     (*faultnet.Party).Cut,
		"outgoing": (*faultnet.Party).CutOutgoing,
		"incoming": (*faultnet.Party).CutIncoming,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.wantFresh(t, 2*time.Second, 0)
				cut(w.agent)
				ages := w.heard(noticed)
				if incoming := name == "incoming"; incoming != (len(ages) > 0) {
					t.Errorf("heard %d beats before the cut was noticed", len(ages))
				}
				if w.pair.Connected() {
					t.Errorf("the agent is connected %v after the cut", noticed)
				}
				if err := w.pair.Publish(wire.ResultSubject("east-1"), nil); !errors.Is(err, ErrDisconnected) {
					t.Errorf("publish during the cut: got %v, want ErrDisconnected", err)
				}
				if ages := w.heard(time.Minute); len(ages) > 0 {
					t.Errorf("heard %d beats during the cut", len(ages))
				}
				unsent := w.pair.Unsent()
				w.agent.Heal()
				w.heard(dialled) // and what the cut held
				if !w.pair.Connected() {
					t.Errorf("the agent is not connected %v after the heal", dialled)
				}
				if unsent < 2*uint64(time.Minute/beatEvery) {
					t.Errorf("%d beats were not sent, want those of the cut at least", unsent)
				}
				w.heard(beatEvery) // in step with the beats again
				w.wantFresh(t, 10*time.Second, 0)
			})
		})
	}
}

// TestBubbleMonitorCut cuts the hearing end: the subscription is there again after the heal, and Since tells of the cut.
func TestBubbleMonitorCut(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.monitor.Cut()
		w.heard(noticed)
		if w.conn.Connected() || w.conn.Since().Before(w.begun.Add(clientPingsOut*clientPing)) {
			t.Errorf("connected: %v since %v, want the cut to be noticed", w.conn.Connected(), w.conn.Since())
		}
		w.heard(time.Minute)
		healed := time.Now()
		w.monitor.Heal()
		w.heard(dialled)
		if !w.conn.Connected() || w.conn.Since().Before(healed) {
			t.Errorf("connected: %v since %v, want since the heal at %v", w.conn.Connected(), w.conn.Since(), healed)
		}
		w.heard(beatEvery)
		w.wantFresh(t, 10*time.Second, 0)
	})
}

func TestBubbleDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.agent.Delay(30 * time.Millisecond)
		w.monitor.Delay(20 * time.Millisecond)
		w.heard(time.Second + 100*time.Millisecond)
		w.wantFresh(t, 10*time.Second, 50*time.Millisecond)
	})
}

// TestBubbleDialWithoutServer opens a connection while nothing is there to connect to.
func TestBubbleDialWithoutServer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.monitor.Cut()
		c, err := Dial(Options{Name: "m1", InProcess: w.monitor})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Subscribe(wire.AllBeats(), func(string, []byte) {}); err != nil {
			t.Errorf("subscribe without a server: %v", err)
		}
		if err := c.Publish("x", nil); c.Connected() || !errors.Is(err, ErrDisconnected) {
			t.Errorf("connected: %v, publish: %v, want ErrDisconnected", c.Connected(), err)
		}
		w.monitor.Heal()
		w.heard(dialled)
		if err := c.Publish("x", nil); !c.Connected() || err != nil {
			t.Errorf("connected: %v, publish: %v, want both", c.Connected(), err)
		}
	})
}

// TestBubblesDoNotTouch runs on real time after bubbles have used nats.go, whose timers outlive a connection.
func TestBubblesDoNotTouch(t *testing.T) {
	inBubble(t, func(_ *testing.T, w *world) {
		w.agent.Cut()
		w.heard(noticed)
		w.agent.Heal()
		w.heard(dialled) // a reconnect takes a timer from nats.go's pool and puts it back
	})
	s := startServer(t, ServerOptions{Name: "m1", DontListen: true})
	c := dial(t, Options{Name: "m1", InProcess: s})
	for range 10 {
		flush(t, c)
	}
}
