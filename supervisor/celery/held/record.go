package held

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"crisper/broker"
)

// The kinds of records; doc.go has what is in them.
const (
	taken    = 't'
	booked   = 'k'
	settled  = 's'
	accepted = 'a'
	message  = 'm'
	ended    = 'e'
)

// longest is how many bytes of a field the agent writes.
const longest = 512

// Sizes of what stands before the fields.
const (
	lengthSize = 2
	factSize   = 1 + 8
	taskSize   = factSize + 1 + 2 + 2
	partSize   = factSize + 1 + 2
)

// record is one fact. Of task is set what its kind has; of its message a part, which is
// the memory that was read.
type record struct {
	kind byte
	at   float64
	task Task
	more bool // parts of the message follow
}

var errShort = errors.New("cannot read a record: it is too short")

// next reads one record. What it returns shares no memory with what it has read, but for
// a part of a message.
func next(text []byte) (r record, rest []byte, err error) {
	if len(text) < lengthSize+factSize {
		return r, nil, errShort
	}
	n := int(binary.LittleEndian.Uint16(text))
	if text = text[lengthSize:]; n < factSize || n > len(text) {
		return r, nil, fmt.Errorf("cannot read a record: it has %d bytes of %d", len(text), n)
	}
	text, rest = text[:n], text[n:]
	r.kind, r.at = text[0], math.Float64frombits(binary.LittleEndian.Uint64(text[1:]))
	if !(r.at >= 0 && r.at <= math.MaxInt64) { // also what is no number
		return r, nil, errors.New("cannot read a record: its time cannot be")
	}
	switch fields := text[factSize:]; r.kind {
	case taken, booked, settled:
		if err = bounded(len(fields)); err == nil {
			r.task.Tag = broker.Tag(fields)
		}
	case ended:
		if err = bounded(len(fields)); err == nil {
			r.task.ID = readable(fields)
		}
	case accepted:
		r.task, err = began(text)
	case message:
		err = r.part(text)
	default:
		err = fmt.Errorf("cannot read a record: %q is unknown", r.kind)
	}
	return r, rest, err
}

func began(text []byte) (t Task, err error) {
	if len(text) < taskSize {
		return t, errShort
	}
	late := text[factSize]
	tag, id := int(binary.LittleEndian.Uint16(text[factSize+1:])), int(binary.LittleEndian.Uint16(text[factSize+3:]))
	fields := text[taskSize:]
	if late > 1 || tag+id > len(fields) {
		return t, errors.New("cannot read a record: its fields do not fit")
	}
	if err := bounded(tag, id, len(fields)-tag-id); err != nil {
		return t, err
	}
	return Task{Tag: broker.Tag(fields[:tag]), ID: readable(fields[tag : tag+id]), Name: readable(fields[tag+id:]), Late: late == 1}, nil
}

func (r *record) part(text []byte) error {
	if len(text) < partSize {
		return errShort
	}
	more, id, fields := text[factSize], int(binary.LittleEndian.Uint16(text[factSize+1:])), text[partSize:]
	if more > 1 || id > len(fields) {
		return errors.New("cannot read a record: its fields do not fit")
	}
	r.more, r.task.ID, r.task.Message = more == 1, readable(fields[:id]), fields[id:]
	return bounded(id)
}

func bounded(sizes ...int) error {
	for _, n := range sizes {
		if n > longest {
			return fmt.Errorf("cannot read a record: a field has %d bytes", n)
		}
	}
	return nil
}

// readable: names and ids go to logs and metrics, and may have been cut within a letter.
func readable(text []byte) string { return strings.ToValidUTF8(string(text), "\uFFFD") }
