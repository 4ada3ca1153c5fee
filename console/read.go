package console

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/holter-ha/holter/planner"
)

func (s *Server) getStatus(look Look, _ *http.Request) (any, error) {
	return doc(look, "Status", status(look)), nil
}

func (s *Server) getHosts(look Look, _ *http.Request) (any, error) {
	return list(look, "HostList", hostItems(look)), nil
}

func (s *Server) getHost(look Look, r *http.Request) (any, error) {
	name := r.PathValue("name")
	host, ok := look.State.Hosts.Get(name)
	if !ok {
		return nil, noSuch("host", name, "holter hosts")
	}
	return doc(look, "Host", hostItem(look, name, host, placedItems(look)[name])), nil
}

func (s *Server) getWorkloads(look Look, _ *http.Request) (any, error) {
	return list(look, "WorkloadList", workloadItems(look)), nil
}

func (s *Server) getWorkload(look Look, r *http.Request) (any, error) {
	name := r.PathValue("name")
	w, ok := look.State.Workloads.Get(name)
	if !ok {
		return nil, noSuch("workload", name, "holter workloads")
	}
	return doc(look, "Workload", workloadItem(look, name, w)), nil
}

func (s *Server) getPlans(look Look, _ *http.Request) (any, error) {
	items := []PlanItem{}
	for _, plan := range look.State.Plans.All() {
		item := planItem(plan)
		item.Source = ""
		items = append(items, item)
	}
	return list(look, "PlanList", items), nil
}

func (s *Server) getPlan(look Look, r *http.Request) (any, error) {
	name := r.PathValue("name")
	plan, ok := look.State.Plans.Get(name)
	if !ok {
		return nil, noSuch("plan", name, "holter plan list")
	}
	return doc(look, "Plan", planItem(plan)), nil
}

func planItem(p planner.Plan) PlanItem {
	return PlanItem{
		Name: p.Plan.Name, Revision: p.Rev, Armed: p.Armed, Owner: p.Plan.Owner, Hash: p.Plan.Hash,
		Triggers: some(p.Plan.Trigger), Steps: len(p.Plan.Steps), Source: p.Plan.Source,
	}
}

func (s *Server) getRuns(look Look, _ *http.Request) (any, error) {
	return list(look, "RunList", runItems(look, false)), nil
}

func (s *Server) getRun(look Look, r *http.Request) (any, error) {
	run, err := runOf(look, r)
	if err != nil {
		return nil, err
	}
	return doc(look, "Run", runItem(look.State, run)), nil
}

// runOf finds the run that the path names.
func runOf(look Look, r *http.Request) (*planner.Run, error) {
	id, _, err := ParseRun(r.PathValue("id"))
	if err != nil {
		return nil, badRequest("%v", err)
	}
	run := look.State.Run(id)
	if run == nil {
		return nil, noSuch("run", planner.RunID(id), "holter runs")
	}
	return run, nil
}

// The number of events in one answer.
const (
	defaultEvents = 100
	maxEvents     = 1000
)

// getEvents answers with the events after an index, oldest first, or with the newest ones; or it streams them.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("follow") == "1" || asksForStream(r) {
		s.stream(w, r)
		return
	}
	s.present(s.listEvents)(w, r)
}

func (s *Server) listEvents(look Look, r *http.Request) (any, error) {
	after, given, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	limit, limited, err := number(r, "limit")
	if err != nil {
		return nil, err
	}
	if !limited {
		limit = defaultEvents
	}
	limit = min(limit, maxEvents)
	items := eventsAfter(look.State, after)
	excess := max(len(items)-int(limit), 0)
	if given {
		items = items[:len(items)-excess]
	} else {
		items = items[excess:]
	}
	return list(look, "EventList", rendered(items)), nil
}

// number reads a number from the query.
func number(r *http.Request, name string) (n uint64, given bool, err error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, false, nil
	}
	if n, err = strconv.ParseUint(text, 10, 64); err != nil {
		return 0, false, badRequest("%s=%q is not a number", name, text)
	}
	return n, true, nil
}

// eventsAfter lists the events that the state still holds after an index, oldest first.
func eventsAfter(s *planner.State, after uint64) []planner.Logged {
	var events []planner.Logged
	for _, logged := range s.Events.All() {
		if logged.Index > after {
			events = append(events, logged)
		}
	}
	return events
}

func rendered(events []planner.Logged) []EventItem {
	items := make([]EventItem, 0, len(events))
	for _, logged := range events {
		items = append(items, eventItem(logged))
	}
	return items
}

func eventItem(logged planner.Logged) EventItem {
	return EventItem{EventLine: Line(logged), Detail: withoutNulls(mustJSON(withoutHash(logged.Entry.Event)))}
}

// withoutHash drops the hash of a secret, which nobody who reads events needs.
func withoutHash(event planner.Event) planner.Event {
	switch event := event.(type) {
	case planner.TokenMade:
		event.Hash = ""
		return event
	case planner.HostInvited:
		event.Hash = ""
		return event
	}
	return event
}

// withoutNulls drops the fields of an event that are null: whoever made it left the list out.
func withoutNulls(text []byte) []byte {
	if !bytes.Contains(text, []byte("null")) {
		return text
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return text
	}
	return mustJSON(pruned(value))
}

func pruned(value any) any {
	switch value := value.(type) {
	case map[string]any:
		maps.DeleteFunc(value, func(_ string, v any) bool { return v == nil })
		for key, v := range value {
			value[key] = pruned(v)
		}
	case []any:
		for i, v := range value {
			value[i] = pruned(v)
		}
	}
	return value
}
