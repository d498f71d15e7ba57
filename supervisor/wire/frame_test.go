package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"crisper/broker/celerymsg"
)

func TestParseNamesWhatIsWrongWithAFrame(t *testing.T) {
	tests := []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "incomplete"},
		{"half a length", []byte{0, 0}, "incomplete"},
		{"no room for kind and seq", []byte{0, 0, 0, 8, 'B', 0, 0, 0, 0, 0, 0, 0}, "leaves no room"},
		{"cut off", AppendFrame(nil, Begun, 1, []byte("x"))[:HeaderSize], "incomplete"},
		{"above the limit", binary.BigEndian.AppendUint32(nil, MaxFrame+1), "above the limit"},
	}
	for _, tt := range tests {
		if _, rest, err := Parse(tt.bytes); err == nil || !strings.Contains(err.Error(), tt.want) || len(rest) != len(tt.bytes) {
			t.Errorf("%s: %v, %d bytes left", tt.name, err, len(rest))
		}
	}
}

func TestParseDoneNamesWhatIsWrong(t *testing.T) {
	whole := AppendDone(nil, 1, Report{Outcome: Failure, Exception: "e", Traceback: "t", Result: "r"})[HeaderSize:]
	tests := []struct {
		name    string
		payload []byte
		want    string
	}{
		{"nothing", nil, "no outcome"},
		{"unknown outcome", append([]byte{11}, whole[1:]...), "unknown outcome 11"},
		{"no outcome", append([]byte{0}, whole[1:]...), "unknown outcome 0"},
		{"ends before the exception", whole[:doneFixed+2], "length of its exception"},
		{"ends within the exception", whole[:doneFixed+4], "its exception has 1 bytes"},
		{"ends before the traceback", whole[:doneFixed+5], "length of its traceback"},
		{"claims four gigabytes", append(append([]byte(nil), whole[:doneFixed]...), 0xff, 0xff, 0xff, 0xff, 'e'), "its exception has 4294967295 bytes"},
	}
	for _, tt := range tests {
		if _, err := ParseDone(tt.payload); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRuntimesThatMakeNoSenseAreBounded(t *testing.T) {
	for _, tt := range []struct {
		seconds float64
		want    time.Duration
	}{
		{0.1, 100 * time.Millisecond}, {-1, 0}, {math.NaN(), 0}, {math.Inf(1), math.MaxInt64}, {math.Inf(-1), 0}, {1e-9, 1},
	} {
		if got := duration(tt.seconds); got != tt.want {
			t.Errorf("%v s is %v, want %v", tt.seconds, got, tt.want)
		}
	}
}

func TestATextTooLongForItsLengthIsCut(t *testing.T) {
	m := celerymsg.Message{ContentType: strings.Repeat("x", 300), Body: []byte("body")}
	f, _, err := Parse(AppendTask(nil, 1, &m, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, ct, _, body, err := ParseTask(f.Payload); err != nil || len(ct) != 255 || string(body) != "body" {
		t.Error(len(ct), string(body), err)
	}
}

func TestFrameReaderPutsAStreamTogether(t *testing.T) {
	var stream []byte
	for seq := range uint64(50) {
		stream = AppendFrame(stream, Notice, seq, bytes.Repeat([]byte{'x'}, int(seq)*1000))
	}
	for _, source := range []io.Reader{bytes.NewReader(stream), iotest.HalfReader(bytes.NewReader(stream)), iotest.DataErrReader(bytes.NewReader(stream))} {
		r := NewFrameReader(source)
		for seq := range uint64(50) {
			f, err := r.Next()
			if err != nil || f.Seq != seq || len(f.Payload) != int(seq)*1000 {
				t.Fatalf("frame %d: %d with %d bytes, %v", seq, f.Seq, len(f.Payload), err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatal(err)
		}
	}
	r := NewFrameReader(iotest.OneByteReader(bytes.NewReader(stream[:HeaderSize+3])))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestAClaimedLengthCostsNoMemory(t *testing.T) {
	r := NewFrameReader(bytes.NewReader(binary.BigEndian.AppendUint32(nil, MaxFrame)))
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || cap(r.buf) > 4*readSize {
		t.Errorf("%v, %d bytes", err, cap(r.buf))
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range goldenFrames() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, rest, err := Parse(b)
		if err != nil {
			return
		}
		used := b[:len(b)-len(rest)]
		if again := AppendFrame(nil, frame.Kind, frame.Seq, frame.Payload); !bytes.Equal(again, used) {
			t.Errorf("%x is written as %x", used, again)
		}
		if report, err := ParseDone(frame.Payload); err == nil {
			back, err := ParseDone(AppendDone(nil, 1, report)[HeaderSize:])
			back.Runtime, report.Runtime = 0, 0 // floats of their own
			if err != nil || back != report {
				t.Errorf("%+v is read back as %+v, %v", report, back, err)
			}
		}
		_, _, _, _, _ = ParseTask(frame.Payload)
	})
}

func BenchmarkAppendTask(b *testing.B) {
	m := goldenMessage
	m.Headers = append(append([]byte(`{"x": "`), bytes.Repeat([]byte{'x'}, 700)...), `"}`...)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendTask(dst[:0], 1, &m, "celery@host")
	}
}
