package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"crisper/broker/celerymsg"
)

// Frame is one frame. Payload aliases the bytes it was parsed from.
type Frame struct {
	Kind    Kind
	Seq     uint64
	Payload []byte
}

// ErrShort means that the frame goes on beyond the bytes at hand. From a packet
// socket that is a broken frame; from a stream it means: read on.
var ErrShort = errors.New("frame is incomplete")

// sizeOfLength is the length field; the length counts what follows it.
const sizeOfLength = 4

// AppendFrame appends one frame.
func AppendFrame(dst []byte, kind Kind, seq uint64, payload []byte) []byte {
	dst = appendHeader(dst, kind, seq, len(payload))
	return append(dst, payload...)
}

func appendHeader(dst []byte, kind Kind, seq uint64, payload int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(payload+HeaderSize-sizeOfLength))
	dst = append(dst, byte(kind))
	return binary.BigEndian.AppendUint64(dst, seq)
}

// closeFrame writes the length of the frame that began at start and now ends.
func closeFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-sizeOfLength))
	return dst
}

// AppendTask appends the Task frame of a message: the payload is built in place.
func AppendTask(dst []byte, seq uint64, m *celerymsg.Message, hostname string) []byte {
	start := len(dst)
	dst = appendHeader(dst, Task, seq, 0)
	dst = AppendTaskPayload(dst, m, hostname)
	return closeFrame(dst, start)
}

// AppendTaskPayload appends what a Task frame holds, for use in a Request too.
func AppendTaskPayload(dst []byte, m *celerymsg.Message, hostname string) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = m.AppendRequest(dst, hostname)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	dst = appendShort(dst, m.ContentType)
	dst = appendShort(dst, m.ContentEncoding)
	return append(dst, m.Body...)
}

// appendShort appends a text of at most 255 bytes with its length before it. No
// content type is longer; a longer one matches no serializer, cut or not.
func appendShort(dst []byte, s string) []byte {
	s = s[:min(len(s), math.MaxUint8)]
	dst = append(dst, byte(len(s)))
	return append(dst, s...)
}

// AppendRequest appends a Request frame for the steward: JSON op, and the task
// that it is about, or nil.
func AppendRequest(dst []byte, seq uint64, op []byte, m *celerymsg.Message, hostname string) []byte {
	start := len(dst)
	dst = appendHeader(dst, Request, seq, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(op)))
	dst = append(dst, op...)
	if m != nil {
		dst = AppendTaskPayload(dst, m, hostname)
	}
	return closeFrame(dst, start)
}

// AppendLarge appends a Large frame in the place of one of the given kind whose
// payload is in the file at path.
func AppendLarge(dst []byte, seq uint64, kind Kind, path string) []byte {
	dst = appendHeader(dst, Large, seq, 1+len(path))
	dst = append(dst, byte(kind))
	return append(dst, path...)
}

// Parse reads the first frame of b and returns what follows it. The error says
// what is wrong and is ErrShort when more bytes could make it right.
func Parse(b []byte) (f Frame, rest []byte, err error) {
	if len(b) < sizeOfLength {
		return Frame{}, b, ErrShort
	}
	length := binary.BigEndian.Uint32(b)
	switch {
	case length < HeaderSize-sizeOfLength:
		return Frame{}, b, fmt.Errorf("cannot read frame: its length %d leaves no room for kind and seq", length)
	case length > MaxFrame:
		return Frame{}, b, fmt.Errorf("cannot read frame: its length %d is above the limit of %d", length, MaxFrame)
	case len(b)-sizeOfLength < int(length):
		return Frame{}, b, ErrShort
	}
	end := sizeOfLength + int(length)
	f = Frame{
		Kind:    Kind(b[sizeOfLength]),
		Seq:     binary.BigEndian.Uint64(b[sizeOfLength+1:]),
		Payload: b[HeaderSize:end:end],
	}
	return f, b[end:], nil
}

// Report is the content of a Done frame.
type Report struct {
	Outcome Outcome
	// Runtime is how long the body ran.
	Runtime time.Duration
	// Exception is its repr; Traceback is for people; Result is a repr, cut by the child.
	Exception, Traceback, Result string
}

// doneFixed is the part of a Done payload before the texts.
const doneFixed = 1 + 8

// AppendDone appends a Done frame. Executors write these in Python; this is for
// tests and for children written in Go.
func AppendDone(dst []byte, seq uint64, r Report) []byte {
	start := len(dst)
	dst = appendHeader(dst, Done, seq, 0)
	dst = append(dst, byte(r.Outcome))
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(r.Runtime.Seconds()))
	for _, s := range [...]string{r.Exception, r.Traceback} {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(s)))
		dst = append(dst, s...)
	}
	dst = append(dst, r.Result...)
	return closeFrame(dst, start)
}

// ParseDone reads the payload of a Done frame.
func ParseDone(payload []byte) (Report, error) {
	if len(payload) < doneFixed {
		return Report{}, fmt.Errorf("cannot read Done frame: %d bytes hold no outcome and runtime", len(payload))
	}
	r := Report{Outcome: Outcome(payload[0])}
	if r.Outcome < Success || r.Outcome > OutOfMemory {
		return Report{}, fmt.Errorf("cannot read Done frame: unknown outcome %d", payload[0])
	}
	r.Runtime = duration(math.Float64frombits(binary.BigEndian.Uint64(payload[1:])))
	rest := payload[doneFixed:]
	for _, field := range [...]struct {
		name string
		dst  *string
	}{{"exception", &r.Exception}, {"traceback", &r.Traceback}} {
		if len(rest) < 4 {
			return Report{}, fmt.Errorf("cannot read Done frame: it ends before the length of its %s", field.name)
		}
		n := binary.BigEndian.Uint32(rest)
		if rest = rest[4:]; uint64(n) > uint64(len(rest)) {
			return Report{}, fmt.Errorf("cannot read Done frame: its %s has %d bytes and only %d follow", field.name, n, len(rest))
		}
		*field.dst, rest = string(rest[:n]), rest[n:]
	}
	r.Result = string(rest)
	return r, nil
}

// duration turns seconds into a duration; what makes no sense is 0.
func duration(seconds float64) time.Duration {
	if !(seconds > 0) { // NaN too
		return 0
	}
	if seconds *= float64(time.Second); seconds >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(seconds))
}

// ParseTask reads the payload of a Task frame: what the executor sees.
func ParseTask(payload []byte) (request []byte, contentType, contentEncoding string, body []byte, err error) {
	if len(payload) < 4 {
		return nil, "", "", nil, errors.New("cannot read Task frame: it ends before the length of its request")
	}
	n := binary.BigEndian.Uint32(payload)
	rest := payload[4:]
	if uint64(n) > uint64(len(rest)) {
		return nil, "", "", nil, fmt.Errorf("cannot read Task frame: its request has %d bytes and only %d follow", n, len(rest))
	}
	request, rest = rest[:n], rest[n:]
	for _, dst := range [...]*string{&contentType, &contentEncoding} {
		if len(rest) == 0 || len(rest)-1 < int(rest[0]) {
			return nil, "", "", nil, errors.New("cannot read Task frame: it ends within its content type")
		}
		*dst, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
	}
	return request, contentType, contentEncoding, rest, nil
}
