package monitor

import (
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// maxShown is how much of a name that somebody claims is written to the log.
const maxShown = 64

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
	for subject, handle := range m.handlers() {
		stop, err := m.bus.Subscribe(subject, handle)
		if err != nil {
			unsubscribe()
			return nil, err
		}
		stops = append(stops, stop)
	}
	return unsubscribe, nil
}

// handlers are what takes the messages, by subject.
func (m *Monitor) handlers() map[string]func(subject string, data []byte) {
	return map[string]func(subject string, data []byte){
		wire.AllBeats():    m.hearBeat,
		wire.AllJoins():    hear(m, func(j wire.Join) string { return j.Host }, (*Monitor).heardJoin),
		wire.AllStatuses(): hear(m, func(s wire.Status) string { return s.Host }, (*Monitor).heardStatus),
		wire.AllClocks():   hear(m, func(c wire.Clock) string { return c.Host }, (*Monitor).heardClock),
		wire.AllResults():  hear(m, func(r wire.Result) string { return r.Host }, (*Monitor).heardResult),
		wire.AllViews():    hear(m, func(v wire.View) string { return v.Monitor }, (*Monitor).heardView),
		wire.AllLevels():   hear(m, func(l wire.Level) string { return l.Monitor }, (*Monitor).heardLevel),

		wire.AllRenews():      hear(m, func(r wire.Renew) string { return r.Host }, (*Monitor).heardRenew),
		wire.AllReports():     hear(m, func(r wire.Report) string { return planner.MonitorName(r.Monitor) }, (*Monitor).heardReport),
		wire.AllFenced():      hear(m, func(f wire.Fenced) string { return f.Monitor }, (*Monitor).heardFenced),
		wire.AllReadIndexes(): hear(m, func(r wire.ReadIndex) string { return r.Monitor }, (*Monitor).heardReadIndex),
	}
}

// hearBeat runs in the bus's goroutine: it copies the message into the queue and drops the oldest when that is full. A beat
// counts only on the subject of its own host: the bus holds an agent to its subjects, and cannot see what is in a message.
func (m *Monitor) hearBeat(subject string, data []byte) {
	var said wire.Beat
	if len(data) > wire.MaxBeat || wire.DecodeBeat(data, &said) != nil {
		m.dropped.Add(1)
		return
	}
	if string(said.Host) != wire.HostOf(subject) {
		m.lied(subject, string(said.Host))
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
// the loop is behind. A message that cannot be decoded comes from another version and is dropped, and counted; so is one
// that is by, or about, somebody else than its subject says, as for a beat.
func hear[M wire.Message, P wire.Fields[M]](m *Monitor, by func(M) string, heard func(*Monitor, M, planner.Now)) func(string, []byte) {
	return func(subject string, data []byte) {
		message, err := wire.Unmarshal[M, P](data)
		if err != nil {
			m.dropped.Add(1)
			m.opts.Logger.Debug().Err(err).Msg("message was dropped")
			return
		}
		if name := by(message); name != wire.HostOf(subject) {
			m.lied(subject, name)
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

// lied drops a message in another's name.
func (m *Monitor) lied(subject, name string) {
	m.dropped.Add(1)
	if ok, held := m.lies.Allow(wire.HostOf(subject), time.Now()); ok {
		m.opts.Logger.Warn().Str("subject", subject).Str("name", name[:min(len(name), maxShown)]).Int("held_back", held).Msg("message in another's name was dropped")
	}
}

func (m *Monitor) heardJoin(j wire.Join, now planner.Now)     { m.view.ObserveJoin(j, now) }
func (m *Monitor) heardStatus(s wire.Status, now planner.Now) { m.view.ObserveStatus(s, now) }
func (m *Monitor) heardClock(c wire.Clock, _ planner.Now)     { m.view.ObserveClock(c, time.Now()) }
func (m *Monitor) heardResult(r wire.Result, _ planner.Now)   { m.view.ObserveResult(r) }
func (m *Monitor) heardLevel(l wire.Level, now planner.Now)   { m.view.ObserveLevel(l, now) }
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
	if m.due("level", levelEvery, now) {
		publish(m, wire.LevelSubject(m.opts.Name), wire.Level{Monitor: m.opts.Name, Log: planner.LogVersion, Expires: m.expires()})
	}
}

// expires is until when this monitor's certificate is good; zero: it has none.
func (m *Monitor) expires() time.Time {
	if m.opts.Expires == nil {
		return time.Time{}
	}
	return m.opts.Expires()
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
