package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// Limits of a change of members.
const (
	maxGreeted  = 64               // server ids whose hellos are kept
	changeLimit = 10 * time.Minute // for a whole change: a new monitor takes the whole log over
	changePoll  = 100 * time.Millisecond
	stepLimit   = 10 * time.Second // for one change of the Raft configuration
)

// The verbs for members.
const (
	AddMember     = "add"
	RemoveMember  = "remove"
	ReplaceMember = "replace"
)

// Change asks for another set of members.
type Change struct {
	Verb  string
	Name  string // configured name; of remove and replace a server id will do
	Force bool   // remove: although it answers
}

// Changing is a change of members as it goes. It is read and written under Store.formMu.
type Changing struct {
	Change
	Began time.Time
	Doing string    // what is being done, for people
	Did   []string  // all that was, Doing the last
	Ended time.Time // zero while it goes on
	Err   error     // why it did not succeed
}

// Greeted is a server that says hello.
type Greeted struct {
	ID, Name, Address string
	Age               time.Duration
	Waits             bool // with an empty directory, to be taken in
	Applied           uint64
}

// Greeted lists the servers that were heard a moment ago, this one not.
func (s *Store) Greeted() []Greeted {
	s.formMu.Lock()
	defer s.formMu.Unlock()
	now, list := time.Now(), []Greeted{}
	for id, other := range s.greeted {
		if age := now.Sub(other.at); age < helloAge {
			list = append(list, Greeted{
				ID: id, Name: other.hello.Monitor, Address: other.hello.Raft, Age: age, Waits: len(other.hello.Members) == 0,
				Applied: other.hello.Applied,
			})
		}
	}
	slices.SortFunc(list, func(a, b Greeted) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Changing returns the last change of members that began here, as it stands; nil if there was none.
func (s *Store) Changing() *Changing {
	s.formMu.Lock()
	defer s.formMu.Unlock()
	if s.changing == nil {
		return nil
	}
	c := *s.changing
	c.Did = slices.Clone(c.Did)
	return &c
}

// ChangeMembers begins a change of members and returns; Changing says how it goes. Only the leader can. It is made of steps
// each of which leaves a majority that answers; one that was interrupted is taken up by asking for the same change again.
// vote must set the lease voters. The error is planner.ErrNotLeader or a *planner.Refusal; then nothing was changed.
func (s *Store) ChangeMembers(c Change, vote func(context.Context, []string) error) error {
	if !s.Leading() {
		return planner.ErrNotLeader
	}
	m := &membership{Store: s, change: c, vote: vote}
	if err := m.check(); err != nil {
		return err
	}
	s.formMu.Lock()
	defer s.formMu.Unlock()
	if other := s.changing; other != nil && other.Ended.IsZero() {
		return hinted(refusal("%s of %s is under way: %s", other.Verb, other.Name, other.Doing), "wait for it: holter monitor list")
	}
	s.changing = &Changing{Change: c, Began: time.Now(), Doing: "begun"}
	s.wg.Go(m.run)
	return nil
}

// TransferTo hands leadership to the monitor of a name, or to the one that is furthest if none is named.
func (s *Store) TransferTo(ctx context.Context, name string) error {
	if !s.Leading() {
		return planner.ErrNotLeader
	}
	if name == "" {
		return s.Transfer(ctx)
	}
	for _, server := range s.servers() {
		switch {
		case nameOf(string(server.ID)) != name || server.Suffrage != raft.Voter:
			continue
		case string(server.ID) == s.dir.id:
			return refusal("%s leads already", name)
		case !s.answers(string(server.ID)):
			return hinted(refusal("monitor %s does not answer", name), "holter monitor list")
		}
		if err := s.await(ctx, func() error { return s.raft.LeadershipTransferToServer(server.ID, server.Address).Error() }); err != nil {
			return fmt.Errorf("transfer leadership to %s: %w", name, err)
		}
		return nil
	}
	return noMember(name)
}

// answers says that a server is heard: this one, or one whose hello came a moment ago.
func (s *Store) answers(id string) bool {
	if id == s.dir.id {
		return true
	}
	_, ok := s.hello(id)
	return ok
}

func (s *Store) hello(id string) (wire.Hello, bool) {
	s.formMu.Lock()
	defer s.formMu.Unlock()
	other, ok := s.greeted[id]
	return other.hello, ok && time.Since(other.at) < helloAge
}

// voters are the server ids of those who vote, sorted.
func (s *Store) voters() []string {
	var ids []string
	for _, server := range s.servers() {
		if server.Suffrage == raft.Voter {
			ids = append(ids, string(server.ID))
		}
	}
	slices.Sort(ids)
	return ids
}

func refusal(format string, args ...any) *planner.Refusal {
	return &planner.Refusal{Code: planner.CodeState, Message: fmt.Sprintf(format, args...) + "; nothing was changed"}
}

func noMember(name string) *planner.Refusal {
	r := refusal("no monitor of the cluster is called %s", name)
	r.Code, r.Hint = planner.CodeNoSuch, "holter monitor list"
	return r
}

// hinted adds what to do.
func hinted(r *planner.Refusal, hint string) *planner.Refusal {
	r.Hint = hint
	return r
}

// membership is one change of members on its way. Each step looks at the configuration as it is, so that a change which was
// interrupted anywhere goes on from there.
type membership struct {
	*Store
	change Change
	vote   func(context.Context, []string) error
}

// name is the configured name of whom the change is about.
func (m *membership) name() string {
	if name := nameOf(m.change.Name); name != "" {
		return name
	}
	return m.change.Name
}

// check refuses what is not safe, or makes no sense, before anything is changed.
func (m *membership) check() error {
	switch m.change.Verb {
	case AddMember:
		return m.checkAdd()
	case RemoveMember:
		return m.checkRemove()
	case ReplaceMember:
		return m.checkReplace()
	}
	return refusal("%q is no change of members", m.change.Verb)
}

// of lists the servers of the change's name, or the one of its server id.
func (m *membership) of() []raft.Server {
	var found []raft.Server
	for _, server := range m.servers() {
		if id := string(server.ID); id == m.change.Name || nameOf(id) == m.change.Name {
			found = append(found, server)
		}
	}
	return found
}

func (m *membership) checkAdd() error {
	if servers := m.of(); len(servers) > 0 {
		server := servers[0]
		if !m.answers(string(server.ID)) {
			return hinted(refusal("monitor %s is in the cluster already, and does not answer", m.name()), "if its data directory is lost: holter monitor replace "+m.name())
		}
		if server.Suffrage == raft.Voter && slices.Contains(m.State().LeaseVoters().Names, string(server.ID)) {
			return refusal("monitor %s is in the cluster already", m.name())
		}
		return m.checkListed()
	}
	if err := m.checkListed(); err != nil {
		return err
	}
	if _, err := m.waitingOne(); err != nil {
		return err
	}
	return m.checkMajority(m.servers(), "")
}

// checkListed refuses a monitor that some monitor's configuration does not list where the others do: they could not reach it.
func (m *membership) checkListed() error {
	want := m.opts.Peers[m.name()]
	hint := fmt.Sprintf("list %s under monitors in the config file of every monitor, restart them one after the other, and try again", m.name())
	if want == "" {
		return hinted(refusal("the config file of %s does not list %s", m.opts.Name, m.name()), hint)
	}
	for _, server := range m.servers() {
		id := string(server.ID)
		if h, ok := m.hello(id); ok && id != m.dir.id && h.Peers[m.name()] != want {
			return hinted(refusal("the config file of %s does not list %s at %s as that of %s does",
				nameOf(id), m.name(), want, m.opts.Name), hint)
		}
	}
	return nil
}

// waitingOne is the one fresh server of the change's name that waits to be taken in.
func (m *membership) waitingOne() (Greeted, error) {
	var waiting []Greeted
	for _, g := range m.Greeted() {
		if g.Waits && g.Name == m.name() {
			waiting = append(waiting, g)
		}
	}
	switch {
	case len(waiting) == 0:
		return Greeted{}, hinted(refusal("nobody waits to be taken in as %s", m.name()), "start it with an empty data directory: holter monitor --config FILE --join")
	case len(waiting) > 1:
		return Greeted{}, hinted(refusal("%d monitors wait to be taken in as %s", len(waiting), m.name()), "stop all but one")
	case waiting[0].Address != m.opts.Peers[m.name()]:
		return Greeted{}, hinted(refusal("the monitor that waits as %s is at %s, but is configured here to be at %s",
			m.name(), waiting[0].Address, m.opts.Peers[m.name()]), "correct the config files")
	}
	return waiting[0], nil
}

func (m *membership) checkRemove() error {
	servers := m.of()
	if len(servers) == 0 {
		return noMember(m.change.Name)
	}
	id := string(servers[0].ID)
	switch {
	case len(servers) > 1:
		return hinted(refusal("%d servers are called %s: it is being replaced", len(servers), m.name()), "holter monitor replace "+m.name())
	case id == m.dir.id:
		return hinted(refusal("monitor %s leads: it cannot be removed", m.name()), "hand leadership over first: holter monitor transfer")
	case m.answers(id) && !m.change.Force:
		return hinted(refusal("monitor %s answers: a cluster without it survives less", m.name()), "if it is to go: --force")
	}
	return m.checkMajority(m.servers(), id)
}

func (m *membership) checkReplace() error {
	servers := m.of()
	if len(servers) == 0 {
		return noMember(m.change.Name)
	}
	if err := m.checkListed(); err != nil {
		return err
	}
	former, next := m.both()
	if former != "" && m.answers(former) {
		return hinted(refusal("monitor %s (%s) answers", m.name(), former),
			"stop it first, and keep it stopped: its successor must be the only one of its name")
	}
	if next == "" {
		if _, err := m.waitingOne(); err != nil {
			return err
		}
	}
	return m.checkMajority(m.servers(), former)
}

// both tells the former server of the change's name from its successor that is in the configuration already. Either may be
// missing: the successor has not been taken in yet, or the former one is removed.
func (m *membership) both() (former, next string) {
	servers := m.of()
	if name := m.name(); name != m.change.Name { // the former one's server id: its successor has only the name in common
		servers = (&membership{Store: m.Store, change: Change{Name: name}}).of()
	}
	for _, server := range servers {
		id := string(server.ID)
		known := !m.idVoters() || slices.Contains(m.State().LeaseVoters().Names, id)
		if server.Suffrage != raft.Voter || !known && m.answers(id) {
			next = id
		} else {
			former = id
		}
	}
	return former, next
}

// idVoters says that the lease voters are server ids, as they are in all but clusters that an earlier version has formed.
func (m *membership) idVoters() bool {
	return slices.ContainsFunc(m.State().LeaseVoters().Names, func(v string) bool { return planner.MonitorName(v) != v })
}

// checkMajority refuses a change after which, without the server that goes, too few voters would answer.
func (m *membership) checkMajority(servers []raft.Server, without string) error {
	voters, answering := 0, 0
	var silent []string
	for _, server := range servers {
		id := string(server.ID)
		if server.Suffrage != raft.Voter || id == without {
			continue
		}
		voters++
		if m.answers(id) {
			answering++
		} else {
			silent = append(silent, nameOf(id))
		}
	}
	if voters > 0 && answering >= voters/2+1 {
		return nil
	}
	return hinted(refusal("of the %d voters that stay, %d answer (%s do not): the quorum would be lost",
		voters, answering, strings.Join(silent, ", ")), "bring those back first: holter monitor list")
}

// run carries the change out.
func (m *membership) run() {
	ctx, cancel := context.WithTimeout(context.Background(), changeLimit)
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-m.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := m.steps(ctx)
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) || errors.Is(err, planner.ErrNotLeader) {
		err = fmt.Errorf("the leadership changed in between (%w): ask for the same again, it goes on from where it stopped", err)
	}
	m.log.Info().Str("verb", m.change.Verb).Str("member", m.change.Name).Err(err).Msg("change of members ended")
	m.formMu.Lock()
	defer m.formMu.Unlock()
	m.changing.Ended, m.changing.Err = time.Now(), err
	if err == nil {
		m.changing.Doing = "done"
	}
}

func (m *membership) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.log.Info().Str("verb", m.change.Verb).Str("member", m.change.Name).Str("step", text).Msg("members are being changed")
	m.formMu.Lock()
	defer m.formMu.Unlock()
	m.changing.Doing, m.changing.Did = text, append(m.changing.Did, text)
}

func (m *membership) steps(ctx context.Context) error {
	switch m.change.Verb {
	case RemoveMember:
		if err := m.remove(ctx, string(m.of()[0].ID)); err != nil {
			return err
		}
	case ReplaceMember:
		former, next := m.both()
		next, err := m.take(ctx, next)
		if err != nil {
			return err
		}
		if former != "" {
			if err := m.remove(ctx, former); err != nil {
				return err
			}
		}
		if err := m.promote(ctx, next); err != nil {
			return err
		}
	case AddMember:
		next := ""
		for _, server := range m.of() {
			next = string(server.ID)
		}
		next, err := m.take(ctx, next)
		if err != nil {
			return err
		}
		if err := m.promote(ctx, next); err != nil {
			return err
		}
	}
	m.tell("lets the members vote on leases")
	return m.vote(ctx, m.voters())
}

// take takes a server in that does not vote yet, unless it is there, and waits until it has the log.
func (m *membership) take(ctx context.Context, id string) (string, error) {
	if id == "" {
		waiting, err := m.waitingOne()
		if err != nil {
			return "", err
		}
		id = waiting.ID
		m.tell("takes %s in, without a vote", id)
		if err := m.step(ctx, func() error {
			return m.raft.AddNonvoter(raft.ServerID(id), ownAddress(id, waiting.Address), 0, stepLimit).Error()
		}); err != nil {
			return "", fmt.Errorf("take %s in: %w", id, err)
		}
	}
	target := m.State().Index
	m.tell("waits for %s to have the log up to #%d", id, target)
	tick := time.NewTicker(changePoll)
	defer tick.Stop()
	for {
		if h, ok := m.hello(id); ok && h.Cluster == m.State().Cluster && h.Applied >= target {
			return id, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not get the log up to #%d within %s: it is in the cluster without a vote; look at its log and ask again",
				id, target, changeLimit)
		}
		if !m.Leading() {
			return "", planner.ErrNotLeader
		}
	}
}

// promote gives a server its vote.
func (m *membership) promote(ctx context.Context, id string) error {
	for _, server := range m.servers() {
		if string(server.ID) != id || server.Suffrage == raft.Voter {
			continue
		}
		m.tell("gives %s its vote", id)
		if err := m.step(ctx, func() error {
			return m.raft.AddVoter(server.ID, server.Address, 0, stepLimit).Error()
		}); err != nil {
			return fmt.Errorf("give %s its vote: %w", id, err)
		}
	}
	return nil
}

// remove takes a server out, if a majority of those that stay answers at this moment, too.
func (m *membership) remove(ctx context.Context, id string) error {
	if err := m.checkMajority(m.servers(), id); err != nil {
		return err
	}
	m.tell("removes %s", id)
	if err := m.step(ctx, func() error { return m.raft.RemoveServer(raft.ServerID(id), 0, stepLimit).Error() }); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	return nil
}

func (m *membership) step(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	return m.await(ctx, do)
}
