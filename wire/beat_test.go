package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// beats are the beats whose bytes lie in testdata, by file name.
var beats = map[string]Beat{
	"beat.hex": {
		Host:  []byte("east-2"),
		Boot:  [16]byte{0x8d, 0x3c, 0x0f, 0x5e, 0x7a, 0x11, 0x4b, 0x92, 0xa0, 0x6e, 0x21, 0xd4, 0xc3, 0x55, 0x9f, 0x07},
		Inc:   0x1122334455667788,
		Seq:   0x0a0b0c0d,
		Stamp: 93*time.Hour + 17*time.Minute + 3*time.Second + 250*time.Millisecond,
	},
	"beat-smallest.hex": {Host: []byte("a"), Inc: 1},
	"beat-largest.hex": {
		Host:  []byte(strings.Repeat("z", 63)),
		Boot:  [16]byte(bytes.Repeat([]byte{0xff}, 16)),
		Inc:   1<<64 - 1,
		Seq:   1<<32 - 1,
		Stamp: 1<<63 - 1,
	},
}

func TestBeatGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/v1/*.hex")
	if err != nil || len(files) != len(beats) {
		t.Fatalf("got %d golden beats, want %d (%v)", len(files), len(beats), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want := beats[filepath.Base(file)]
		var got Beat
		if err := DecodeBeat(golden, &got); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s: got -, want +\n%s", file, diff)
		}
		if b := AppendBeat(nil, &want); !bytes.Equal(b, golden) {
			t.Errorf("%s: encoded %x, want %x", file, b, golden)
		}
	}
}

func TestBeatSize(t *testing.T) {
	b := beats["beat-largest.hex"]
	if got := len(AppendBeat(nil, &b)); got != MaxBeat || got > 100 {
		t.Errorf("the largest beat has %d bytes, want %d, at most 100", got, MaxBeat)
	}
}

func TestBeatRefused(t *testing.T) {
	valid := Beat{Host: []byte("east-2"), Inc: 7, Stamp: time.Second}
	change := func(f func(*Beat)) []byte {
		b := valid
		f(&b)
		return AppendBeat(nil, &b)
	}
	whole := AppendBeat(nil, &valid)
	for name, test := range map[string]struct {
		src  []byte
		want error
	}{
		"empty":           {nil, ErrBeatLength},
		"cut short":       {whole[:beatHost-1], ErrBeatLength},
		"version 0":       {append([]byte{0}, whole[1:]...), ErrBeatVersion},
		"version 2":       {append([]byte{2}, whole[1:]...), ErrBeatVersion},
		"short version 2": {[]byte{2}, ErrBeatVersion},
		"no host":         {change(func(b *Beat) { b.Host = nil }), ErrBeatLength},
		"long host":       {change(func(b *Beat) { b.Host = bytes.Repeat([]byte("a"), 64) }), ErrBeatLength},
		"upper case host": {change(func(b *Beat) { b.Host = []byte("East") }), ErrBeatHost},
		"host with a dot": {change(func(b *Beat) { b.Host = []byte("a.b") }), ErrBeatHost},
		"no incarnation":  {change(func(b *Beat) { b.Inc = 0 }), ErrBeatInc},
		"negative stamp":  {change(func(b *Beat) { b.Stamp = -1 }), ErrBeatStamp},
	} {
		before := Beat{Host: []byte("kept"), Inc: 99}
		got := before
		if err := DecodeBeat(test.src, &got); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if diff := cmp.Diff(got, before); diff != "" {
			t.Errorf("%s: the refused message changed the beat: got -, want +\n%s", name, diff)
		}
	}
}

func TestBeatAllocations(t *testing.T) {
	in := beats["beat.hex"]
	buf := make([]byte, 0, MaxBeat)
	var out Beat
	if n := testing.AllocsPerRun(1000, func() { buf = AppendBeat(buf[:0], &in) }); n != 0 {
		t.Errorf("encoding allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := DecodeBeat(buf, &out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding allocates %v times, want 0", n)
	}
	buf[0] = BeatVersion + 1
	if n := testing.AllocsPerRun(1000, func() {
		if DecodeBeat(buf, &out) == nil {
			t.Fatal("decoded a beat of another version")
		}
	}); n != 0 {
		t.Errorf("refusing allocates %v times, want 0", n)
	}
}

// FuzzBeatDecode looks for a message that decodes and is not what its beat encodes to.
func FuzzBeatDecode(f *testing.F) {
	for _, b := range beats {
		f.Add(AppendBeat(nil, &b))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, src []byte) {
		var b Beat
		if DecodeBeat(src, &b) != nil {
			return
		}
		if again := AppendBeat(nil, &b); !bytes.Equal(again, src) {
			t.Errorf("%x decodes to %+v, which encodes to %x", src, b, again)
		}
	})
}

func BenchmarkBeatDecode(b *testing.B) {
	in := beats["beat.hex"]
	src := AppendBeat(nil, &in)
	var out Beat
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeBeat(src, &out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBeatEncode(b *testing.B) {
	in := beats["beat.hex"]
	buf := make([]byte, 0, MaxBeat)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendBeat(buf[:0], &in)
	}
}
