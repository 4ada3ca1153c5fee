package lease

import (
	"cmp"
	"slices"
	"time"
)

// Voters are the monitors whose answers count. Index is of the log entry that made them so.
type Voters struct {
	Index uint64   `json:"index"`
	Names []string `json:"names"`
}

// Majority is how many of the voters decide.
func (v Voters) Majority() int { return len(v.Names)/2 + 1 }

// Phase is where a lease stands.
type Phase int

// The phases of a lease, in the order of its life.
const (
	Missing Phase = iota // never confirmed under this epoch, and nothing left of a former one
	Held
	Ending // its end is nearer than Terms.Stop: what is exclusive is being stopped
	Over
)

// Ack is one monitor's answer to a renewal.
type Ack struct {
	Monitor string
	Inc     uint64
	Epoch   uint64
	Stamp   time.Duration // of the renewal: the agent's own clock
	Voters  uint64        // index of the newest Voters that the monitor knows
}

// Holder is the agent's side of a lease.
type Holder struct {
	inc    uint64
	epoch  uint64        // 0: not joined
	terms  Terms         // in force
	length time.Duration // of the epoch's terms: in force once a majority has answered under it
	voters Voters

	acked     map[string]time.Duration // by voter: the newest stamp answered under this epoch and these voters
	sent      time.Duration            // the newest renewal
	anchor    time.Duration            // the newest stamp that a majority answered
	anchored  bool
	confirmed bool   // a majority answered under this epoch
	ended     bool   // what is exclusive is being stopped: there is no way back
	under     uint64 // index of the voters that the anchor stands on under this epoch, 0: on none yet
	fresh     bool   // no renewal was sent under this epoch yet
}

// Kept is what outlives an agent: the lease that its former incarnation of this boot held.
type Kept struct {
	Anchor time.Duration `json:"anchor_ns"` // the newest stamp that a majority answered
	Terms  Terms         `json:"terms"`     // in force
}

// Try is an incarnation that asked to join by a nonce and may not have heard that it was taken in: its successor on the same
// running machine names it, in case it was.
type Try struct {
	Inc   uint64 `json:"inc"`
	Nonce uint64 `json:"nonce"`
}

// NewHolder returns the holder of an incarnation, with what is left of the former one's lease: nil for none.
func NewHolder(inc uint64, kept *Kept) *Holder {
	h := &Holder{inc: inc, acked: map[string]time.Duration{}}
	if kept != nil {
		h.anchor, h.terms, h.anchored = kept.Anchor, kept.Terms, true
	}
	return h
}

// Kept is what the next incarnation needs to know; nil when there is no lease.
func (h *Holder) Kept() *Kept {
	if !h.anchored {
		return nil
	}
	return &Kept{Anchor: h.anchor, Terms: h.terms}
}

// Leave gives the epoch up, before the agent asks to join: answers count no more. The lease goes on to its end.
func (h *Holder) Leave() {
	h.epoch, h.confirmed = 0, false
	clear(h.acked)
}

// Offer takes in the terms that the next join will bring. The monitors may count by them from the moment the join is in the
// log, before the agent hears of it: until then the tighter ones of both are in force. The guard has to know them, and
// whatever they leave no lease for has to be gone, before the offer is answered.
func (h *Holder) Offer(t Terms) { h.terms = h.terms.tightened(t) }

// Join takes an epoch with its terms and voters. The lease that is left from before goes on, and not for longer than it
// would have, until a majority answers.
func (h *Holder) Join(epoch uint64, t Terms, v Voters) {
	h.epoch, h.length, h.voters = epoch, t.Length, v
	if h.anchored {
		t.Length = min(t.Length, h.terms.Length)
	}
	h.terms = t
	h.confirmed, h.ended, h.fresh, h.under = false, false, true, 0
	clear(h.acked)
}

// SetVoters takes newer voters in. What was answered under the former ones counts for what it has confirmed already.
func (h *Holder) SetVoters(v Voters) {
	if v.Index <= h.voters.Index {
		return
	}
	h.voters = v
	clear(h.acked)
}

// confirmEvery is the most time between two renewals until an epoch is confirmed: some monitors hear of it a moment later than
// its agent, and what is left of the lease may be shorter than the time between two renewals.
const confirmEvery = 200 * time.Millisecond

// Due says whether a renewal is to be sent now, and notes that it was. The first one of an epoch is due at once.
func (h *Holder) Due(now time.Duration) bool {
	every := h.terms.Renew
	if !h.confirmed {
		every = min(every, confirmEvery)
	}
	if h.epoch == 0 || h.ended || !h.fresh && now-h.sent < every {
		return false
	}
	h.sent, h.fresh = now, false
	return true
}

// Ack takes an answer in. It counts only under the present incarnation and epoch, for a renewal that was sent, from a voter
// that knows it is one.
func (h *Holder) Ack(a Ack) {
	switch {
	case h.epoch == 0 || h.ended || a.Inc != h.inc || a.Epoch != h.epoch:
		return
	case a.Stamp > h.sent || a.Voters < h.voters.Index || !slices.Contains(h.voters.Names, a.Monitor):
		return
	}
	h.acked[a.Monitor] = max(h.acked[a.Monitor], a.Stamp)
	stamps := make([]time.Duration, 0, len(h.acked))
	for _, stamp := range h.acked {
		stamps = append(stamps, stamp)
	}
	if len(stamps) < h.voters.Majority() {
		return
	}
	slices.SortFunc(stamps, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	h.confirmed = true
	if newest := stamps[h.voters.Majority()-1]; !h.anchored || newest > h.anchor {
		h.anchor, h.anchored, h.terms.Length = newest, true, h.length
		h.under = h.voters.Index
	}
}

// End makes the end irrevocable: what is exclusive is being stopped, and no answer prolongs the lease any more.
func (h *Holder) End() { h.ended = true }

// Until is when the lease ends; 0 when there is none.
func (h *Holder) Until() time.Duration {
	if !h.anchored {
		return 0
	}
	return h.anchor + h.terms.Length
}

// Confirmed says that a majority has answered under the present epoch. Only then may something be started: what is left of
// a former epoch's lease is good for what that epoch has started.
func (h *Holder) Confirmed() bool { return h.confirmed }

// Under is the index of the voters on which the lease stands under the present epoch; 0 while it stands on what is left of a
// former one.
func (h *Holder) Under() uint64 { return h.under }

// Terms are those in force: of the present epoch, or tighter ones that were offered since.
func (h *Holder) Terms() Terms { return h.terms }

// Phase says where the lease stands now.
func (h *Holder) Phase(now time.Duration) Phase {
	switch {
	case !h.anchored:
		return Missing
	case now >= h.Until():
		return Over
	case h.ended || now >= h.Until()-h.terms.Stop:
		return Ending
	}
	return Held
}
