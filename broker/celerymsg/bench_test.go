package celerymsg

import (
	"os"
	"testing"
)

func BenchmarkParseTypical(b *testing.B) {
	raw, err := os.ReadFile("testdata/typical.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if m := ParseEnvelope(raw); m.Problem != "" {
			b.Fatal(m.Problem)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	raw, err := os.ReadFile("testdata/typical.json")
	if err != nil {
		b.Fatal(err)
	}
	m := ParseEnvelope(raw)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = m.AppendRequest(dst[:0], "worker@host")
	}
}

func BenchmarkMarkRestored(b *testing.B) {
	raw, err := os.ReadFile("testdata/typical.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		MarkRestored(raw, 1)
	}
}

func TestAllocationsOfATypicalMessageStayFew(t *testing.T) {
	raw := file(t, "typical.json")
	if n := testing.AllocsPerRun(100, func() { ParseEnvelope(raw) }); n > 2 {
		t.Errorf("reading allocates %v times: the body and the texts are two", n)
	}
	m, dst := ParseEnvelope(raw), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { m.AppendRequest(dst, "celery@host") }); n > 0 {
		t.Errorf("the request allocates %v times", n)
	}
}
