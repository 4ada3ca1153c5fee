package wire

import (
	"encoding/binary"
	"errors"
	"time"
)

// BeatVersion is the version of the beat's layout. A beat of another version is refused.
const BeatVersion = 1

// Where the fields of a beat begin. Integers are big-endian.
//
//	byte    0      version, 1
//	bytes   1–16   boot id
//	bytes  17–24   incarnation, never zero
//	bytes  25–28   sequence number
//	bytes  29–36   send stamp in nanoseconds, never negative
//	bytes  37–end  host, 1 to 63 bytes of a–z, 0–9 and '-'
//
// The host has no length byte: it is the rest of the message, whose length the bus keeps.
const (
	beatBoot  = 1
	beatInc   = beatBoot + 16
	beatSeq   = beatInc + 8
	beatStamp = beatSeq + 4
	beatHost  = beatStamp + 8
)

// Limits of a beat's length in bytes.
const (
	maxName = 63
	minBeat = beatHost + 1
	MaxBeat = beatHost + maxName // 100
)

// Why a beat was refused.
var (
	ErrBeatVersion = errors.New("beat of an unknown version")
	ErrBeatLength  = errors.New("beat of an impossible length")
	ErrBeatInc     = errors.New("beat without an incarnation")
	ErrBeatStamp   = errors.New("beat with a negative stamp")
	ErrBeatHost    = errors.New("beat with an impossible host name")
)

// Beat is one heartbeat of a host: a sign of life and nothing else. Agent → monitors, on BeatSubject.
type Beat struct {
	// Host is the host's name. In a decoded beat it is part of the message that was decoded: whoever keeps it
	// longer than the message copies it.
	Host  []byte
	Boot  [16]byte      // the machine's boot id
	Inc   uint64        // the agent's incarnation: random, never zero
	Seq   uint32        // counts the beats of this incarnation
	Stamp time.Duration // the sender's CLOCK_BOOTTIME when it was sent
}

// AppendBeat appends the message of a beat to dst and returns it. A beat that breaks the rules of the layout (no host, no
// incarnation) makes a message that DecodeBeat refuses.
func AppendBeat(dst []byte, b *Beat) []byte {
	dst = append(dst, BeatVersion)
	dst = append(dst, b.Boot[:]...)
	dst = binary.BigEndian.AppendUint64(dst, b.Inc)
	dst = binary.BigEndian.AppendUint32(dst, b.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Stamp)) //nolint:gosec // a negative one is refused when it is read
	return append(dst, b.Host...)
}

// DecodeBeat reads a message into b, without allocating. It leaves b as it was if it refuses the message, with one of the
// ErrBeat errors.
func DecodeBeat(src []byte, b *Beat) error {
	if len(src) > 0 && src[0] != BeatVersion {
		return ErrBeatVersion
	}
	if len(src) < minBeat || len(src) > MaxBeat {
		return ErrBeatLength
	}
	inc := binary.BigEndian.Uint64(src[beatInc:])
	if inc == 0 {
		return ErrBeatInc
	}
	stamp := time.Duration(binary.BigEndian.Uint64(src[beatStamp:])) //nolint:gosec // what is too large is negative, and refused
	if stamp < 0 {
		return ErrBeatStamp
	}
	host := src[beatHost:]
	for _, c := range host {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return ErrBeatHost
		}
	}
	b.Host, b.Inc, b.Stamp = host, inc, stamp
	b.Seq = binary.BigEndian.Uint32(src[beatSeq:])
	copy(b.Boot[:], src[beatBoot:])
	return nil
}
