package monitor

import (
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// beat is one beat's message as it came. A fixed array, so that the queue allocates nothing per beat.
type beat struct {
	size int
	data [wire.MaxBeat]byte
}

// subscribe hands everything that agents and monitors say to the loop.
func (m *Monitor) subscribe() (unsubscribe func(), err error) {
	var stops []func()
	unsubscribe = func() {
		for _, stop := range stops {
			stop()
		}
	}
	for subject, handle := range map[string]func(subject string, data []byte){
		wire.AllBeats():    m.hearBeat,
		wire.AllJoins():    hear(m, (*Monitor).heardJoin),
		wire.AllStatuses(): hear(m, (*Monitor).heardStatus),
		wire.AllResults():  hear(m, (*Monitor).heardResult),
		wire.AllViews():    hear(m, (*Monitor).heardView),

		wire.AllRenews():      hear(m, (*Monitor).heardRenew),
		wire.AllReports():     hear(m, (*Monitor).heardReport),
		wire.AllFenced():      hear(m, (*Monitor).heardFenced),
		wire.AllReadIndexes(): hear(m, (*Monitor).heardReadIndex),
	} {
		stop, err := m.bus.Subscribe(subject, handle)
		if err != nil {
			unsubscribe()
			return nil, err
		}
		stops = append(stops, stop)
	}
	return unsubscribe, nil
}

// hearBeat runs in the bus's goroutine: it copies the message into the queue and drops the oldest when that is full.
func (m *Monitor) hearBeat(_ string, data []byte) {
	if len(data) > wire.MaxBeat {
		m.dropped.Add(1)
		return
	}
	b := beat{size: len(data)}
	copy(b.data[:], data)
	for {
		select {
		case m.beats <- b:
			return
		default:
		}
		select {
		case <-m.beats:
			m.dropped.Add(1)
		default:
		}
	}
}

// observe runs in the loop.
func (m *Monitor) observe(b beat) {
	var decoded wire.Beat
	if err := wire.DecodeBeat(b.data[:b.size], &decoded); err != nil {
		m.dropped.Add(1)
		return
	}
	m.view.Observe(&decoded, m.now())
}

// hear makes a handler that decodes in the bus's goroutine and hands over to the loop; the oldest letter is dropped when
// the loop is behind. A message that cannot be decoded comes from another version and is dropped, and counted.
func hear[M wire.Message, P wire.Fields[M]](m *Monitor, heard func(*Monitor, M, planner.Now)) func(string, []byte) {
	return func(_ string, data []byte) {
		message, err := wire.Unmarshal[M, P](data)
		if err != nil {
			m.dropped.Add(1)
			m.opts.Logger.Debug().Err(err).Msg("message was dropped")
			return
		}
		letter := func(now planner.Now) { heard(m, message, now) }
		for {
			select {
			case m.mail <- letter:
				return
			default:
			}
			select {
			case <-m.mail:
				m.dropped.Add(1)
			default:
			}
		}
	}
}

func (m *Monitor) heardJoin(j wire.Join, now planner.Now)     { m.view.ObserveJoin(j, now) }
func (m *Monitor) heardStatus(s wire.Status, now planner.Now) { m.view.ObserveStatus(s, now) }
func (m *Monitor) heardResult(r wire.Result, _ planner.Now)   { m.view.ObserveResult(r) }
func (m *Monitor) heardReport(r wire.Report, _ planner.Now)   { m.view.ObserveReport(r) }
func (m *Monitor) heardFenced(f wire.Fenced, _ planner.Now)   { m.view.ObserveFenced(f) }

// heardView hears another monitor's view; of this one's own it takes when it was sent.
func (m *Monitor) heardView(v wire.View, now planner.Now) {
	if v.Monitor != m.opts.Name {
		m.view.ObservePeer(v, now)
		return
	}
	m.echo = max(m.echo, v.Sent)
}

// publishView says every viewEvery what this monitor hears. The message is also the monitors' own heart: a canary that
// does not come back makes this monitor unable to judge.
func (m *Monitor) publishView(now planner.Now) {
	if now.Boot-m.viewed < viewEvery && m.viewed != 0 {
		return
	}
	m.viewed = now.Boot
	m.seq++
	v := m.view.Opinions(now)
	v.V, v.Monitor, v.Seq, v.Sent, v.Wall, v.Version = wire.Version, m.opts.Name, m.seq, now.Boot, time.Now().UTC(), m.opts.Version
	publish(m, wire.ViewSubject(m.opts.Name), v)
}

// publish sends a message; a bus that does not take it now is no error: what matters is said again.
func publish[M wire.Message, P wire.Fields[M]](m *Monitor, subject string, message M) {
	data, err := wire.Marshal[M, P](message)
	if err == nil {
		err = m.bus.Publish(subject, data)
	}
	if err != nil {
		m.opts.Logger.Debug().Str("subject", subject).Err(err).Msg("message was not sent")
	}
}
