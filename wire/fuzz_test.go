package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
)

// decoders decode and encode each kind of message, in the order of their golden files.
var decoders = []func([]byte) (any, []byte, error){
	again[Ack], again[Assignment], again[Clock], again[Command], again[Fenced], again[Hello], again[Join], again[Level], again[Level], again[Offer],
	again[ReadIndex], again[Renew], again[Report], again[Result], again[Status], again[View],
}

// again decodes a message and encodes it again, if it can be decoded.
func again[M Message, P Fields[M]](b []byte) (any, []byte, error) {
	m, err := Unmarshal[M, P](b)
	if err != nil {
		return m, nil, err
	}
	text, encode := Marshal[M, P](m)
	if errors.Is(encode, ErrTooBig) && len(b) > MaxMessage/6 { // what needs an escape is longer
		return m, b, nil
	}
	if encode != nil {
		panic(encode) // what was decoded can be encoded
	}
	return m, text, nil
}

// FuzzMessages looks for a message that is decoded to something else than what it is encoded to, that means something else to
// an older program, or that is refused and leaves something behind.
func FuzzMessages(f *testing.F) {
	want := goldens()
	for i, name := range slices.Sorted(maps.Keys(want)) {
		b, err := want[name].encode()
		if err != nil {
			f.Fatal(err)
		}
		if got := reflect.TypeOf(want[name].value).Name(); got != reflect.TypeOf(first(decoders[i](b))).Name() {
			f.Fatalf("%s is no seed for decoder %d, which is not for a %s", name, i, got)
		}
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		decode := decoders[int(kind)%len(decoders)]
		m, text, err := decode(b)
		if err != nil {
			if !reflect.ValueOf(m).IsZero() {
				t.Errorf("%s is refused (%v) and leaves %+v", b, err, m)
			}
			return
		}
		if _, same, err := decode(text); err != nil || !bytes.Equal(same, text) {
			t.Errorf("%s is decoded and encoded to %s, and that to %s (%v)", b, text, same, err)
		}
		at := bytes.IndexByte(b, '{')
		newer := slices.Concat(b[:at+1], []byte(`"added_later":[{}],`), b[at+1:])
		if len(newer) > MaxMessage || !json.Valid(newer) || bytes.Contains(b, []byte("added_later")) {
			return
		}
		if _, older, err := decode(newer); err != nil || !bytes.Equal(older, text) {
			t.Errorf("%s with an added field is %s (%v), without it %s", b, older, err, text)
		}
	})
}

func first(m any, _ []byte, _ error) any { return m }

// FuzzHostOf looks for a subject of whose name another subject is made.
func FuzzHostOf(f *testing.F) {
	f.Add(BeatSubject("east-2"))
	f.Add(AllViews())
	f.Add("holter.v1..a")
	f.Fuzz(func(t *testing.T, text string) {
		host := HostOf(text)
		if host != "" && HostOf(BeatSubject(host)) != host {
			t.Errorf("%q is of %q, whose beats are of %q", text, host, HostOf(BeatSubject(host)))
		}
	})
}
