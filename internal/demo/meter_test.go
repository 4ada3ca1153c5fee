package demo

import (
	"errors"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	broken := errors.New("refused")
	requests := []struct {
		sent, done   int
		err          error
		begins, ends bool
	}{
		{sent: 0, done: 2},
		{sent: 50, done: 300, err: broken, begins: true}, // it hung until its limit
		{sent: 100, done: 101, err: broken},
		{sent: 150, done: 151, err: broken},
		{sent: 200, done: 208, ends: true},
		{sent: 250, done: 252},
		{sent: 300, done: 301, err: broken, begins: true},
		{sent: 350, done: 351, ends: true},
		{sent: 400, done: 401, err: broken, begins: true},
	}
	var m meter
	for _, r := range requests {
		begins, ends := m.observe(asked{sent: at(r.sent), done: at(r.done), err: r.err})
		if begins != r.begins || ends != r.ends {
			t.Errorf("request of %d ms: began %t, ended %t; want %t, %t", r.sent, begins, ends, r.begins, r.ends)
		}
	}
	if got := len(m.outages); got != 2 {
		t.Fatalf("%d outages have ended, want 2", got)
	}
	// From when the first lost request was sent to when the first answer came, whatever the lost ones waited.
	if got, want := m.outages[0].lasted(), 158*time.Millisecond; got != want {
		t.Errorf("first outage lasted %s, want %s", got, want)
	}
	if got := m.outages[0].lost; got != 3 {
		t.Errorf("first outage lost %d requests, want 3", got)
	}
	if got, want := m.last().lasted(), 51*time.Millisecond; got != want {
		t.Errorf("last outage lasted %s, want %s", got, want)
	}
	if m.open == nil || m.open.lost != 1 {
		t.Errorf("open outage is %+v, want one with 1 lost request", m.open)
	}
}
