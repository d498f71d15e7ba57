package held

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"crisper/broker"
)

// one writes a record as the agent does: with one field, or those of a task.
func one(kind byte, at float64, fields ...string) []byte {
	text := append([]byte{kind}, binary.LittleEndian.AppendUint64(nil, math.Float64bits(at))...)
	if kind == accepted {
		late := byte(len(fields[3])) // "" or "late"
		text = append(text, min(late, 1))
		text = binary.LittleEndian.AppendUint16(text, uint16(len(fields[0])))
		text = binary.LittleEndian.AppendUint16(text, uint16(len(fields[1])))
		fields = fields[:3]
	}
	text = append(text, strings.Join(fields, "")...)
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(text))), text...)
}

// part writes a record with a part of a message.
func part(id, text string, more byte) []byte {
	record := append(binary.LittleEndian.AppendUint64([]byte{message}, math.Float64bits(1)), more)
	record = append(binary.LittleEndian.AppendUint16(record, uint16(len(id))), id+text...)
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(record))), record...)
}

// golden is one entry of testdata/records.json, which the tests of the agent write anew
// from its fields.
type golden struct {
	Name string  `json:"name"`
	Kind string  `json:"kind"`
	At   float64 `json:"at"`
	Tag  string  `json:"tag"`
	ID   string  `json:"id"`
	Task string  `json:"task"`
	Late bool    `json:"late"`
	Text string  `json:"text"` // of a message, in hex
	More bool    `json:"more"`
	Hex  string  `json:"hex"`
}

func readGolden(t testing.TB) (all []golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/records.json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all) == 0 {
		t.Fatal("no golden records", err)
	}
	return all
}

func TestGoldenRecordsMeanWhatStandsBesideThem(t *testing.T) {
	for _, g := range readGolden(t) {
		text, err := hex.DecodeString(g.Hex)
		if err != nil {
			t.Fatal(g.Name, err)
		}
		r, rest, err := next(append(text, "more"...))
		if err != nil || string(rest) != "more" {
			t.Errorf("%s: %v, %q is left", g.Name, err, rest)
		}
		cut := func(s string) string { return s[:min(len(s), longest)] }
		want := record{kind: g.Kind[0], at: g.At, task: Task{Tag: broker.Tag(cut(g.Tag)), ID: cut(g.ID), Name: cut(g.Task), Late: g.Late}, more: g.More}
		if want.task.Message, err = hex.DecodeString(g.Text); err != nil {
			t.Fatal(g.Name, err)
		}
		if diff := cmp.Diff(want, r, cmp.AllowUnexported(record{}), cmpopts.IgnoreUnexported(Task{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s:\n%s", g.Name, diff)
		}
	}
}

func TestNonsenseIsAnErrorAndWhatStoodBeforeItIsKnown(t *testing.T) {
	long := strings.Repeat("x", longest+1)
	whole := one(taken, 1, "whole")
	for name, text := range map[string][]byte{
		"a length alone": {9, 0}, "a length that is too small": append([]byte{8, 0}, whole[2:]...), "cut off": whole[:len(whole)-1],
		"nothing": make([]byte, 64), "an unknown kind": one('x', 1, "a"), "no time": one(taken, math.NaN(), "a"),
		"a time before all": one(taken, -1, "a"), "a time after all": one(taken, math.Inf(1), "a"), "a long tag": one(settled, 1, long),
		"a long id": one(ended, 1, long), "a long name": one(accepted, 1, "", "", long, ""), "a task without fields": one(accepted, 1, "", "", "", "")[:11],
		"a part without an id": one(message, 1, ""), "a part with a long id": part(long, "", 0), "a part that is more than more": part("id", "text", 2),
		"an id that does not fit": bytes.Replace(part("id", "", 0), []byte{2, 0, 'i'}, []byte{3, 0, 'i'}, 1),
		"fields that do not fit":  bytes.Replace(one(accepted, 1, "tag", "id", "", ""), []byte{3, 0, 2, 0}, []byte{3, 0, 3, 0}, 1),
	} {
		h := &Hand{}
		if took, err := h.Read(append(one(taken, 1, "before"), text...)); err == nil || !took || h.Len() != 1 {
			t.Errorf("%s: %v, %d in hand", name, err, h.Len())
		}
	}
}

func TestWhatIsShownToPeopleIsAlwaysText(t *testing.T) {
	h := &Hand{}
	if _, err := h.Read(one(accepted, 1, "tag\xff", "id\xff", "n\xc3", "")); err != nil {
		t.Fatal(err)
	}
	if task := h.TaskOf("tag\xff"); task.ID != "id\uFFFD" || task.Name != "n\uFFFD" {
		t.Errorf("%q, %q", task.ID, task.Name)
	}
}

func FuzzRead(f *testing.F) {
	for _, g := range readGolden(f) {
		text, _ := hex.DecodeString(g.Hex)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h := &Hand{}
		_, _ = h.Read(text)
		h.Renewed(h.Deliveries(forever), []float64{1})
		h.Gone(nil)
		if n := h.Len() + len(h.tasks); n*(lengthSize+factSize) > len(text) {
			t.Errorf("%d facts of %d bytes", n, len(text))
		}
		kept := 0
		for _, task := range h.tasks {
			kept += len(task.Message) + len(task.parts)
		}
		if kept != h.kept || kept > len(text) {
			t.Errorf("%d bytes of messages are kept, %d are counted, %d were read", kept, h.kept, len(text))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	const tag, id = "3f0c7a52-6a1e-4f6e-9d4c-0d8f6f7a9b11", "0a4b0e7e-52c6-4e0f-9a52-7f1f6d1f2c33"
	var text []byte
	for _, r := range [][]byte{one(taken, 1, tag), one(booked, 1, tag), one(accepted, 1, tag, id, "proj.noop", ""), part(id, strings.Repeat("m", 1000), 0), one(settled, 1, tag), one(ended, 1, id)} {
		text = append(text, r...)
	}
	h := &Hand{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Read(text); err != nil {
			b.Fatal(err)
		}
	}
}
