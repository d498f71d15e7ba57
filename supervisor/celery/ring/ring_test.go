package ring

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func made(t testing.TB) *Ring {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func (r *Ring) head() uint64     { return binary.LittleEndian.Uint64(r.mem) }
func (r *Ring) setHead(p uint64) { binary.LittleEndian.PutUint64(r.mem, p) }

// write is what the agent does.
func (r *Ring) write(text []byte) bool {
	head := r.head()
	if head+uint64(len(text))-binary.LittleEndian.Uint64(r.mem[64:]) > Size {
		return false
	}
	for i, b := range text {
		r.mem[4096+(head+uint64(i))%Size] = b
	}
	r.setHead(head + uint64(len(text)))
	return true
}

func TestWhatWasWrittenIsReadOnceAndInOrderRoundAfterRound(t *testing.T) {
	r := made(t)
	chance := rand.New(rand.NewPCG(1, 2))
	var written, read []byte
	for range 4000 {
		text := bytes.Repeat([]byte{byte(chance.Uint32())}, chance.IntN(1500))
		if r.write(text) {
			written = append(written, text...)
		}
		if chance.IntN(40) > 0 {
			continue
		}
		got, err := r.Upto(r.tail + (r.head()-r.tail)/2)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, got...)
	}
	rest, err := r.Rest()
	if read = append(read, rest...); err != nil || !bytes.Equal(written, read) {
		t.Errorf("%d bytes were written and %d read; %v", len(written), len(read), err)
	}
	if len(written) < 3*Size {
		t.Errorf("only %d bytes: that is not several rounds", len(written))
	}
}

func TestAGlanceSeesWhatWasThereAtTheOneBefore(t *testing.T) {
	r := made(t)
	for i, want := range []string{"", "one", "two", "", "three"} {
		if i < 2 {
			r.write([]byte([]string{"one", "two"}[i]))
		}
		if i == 3 {
			r.write([]byte("three"))
		}
		if got, err := r.Glance(); err != nil || string(got) != want {
			t.Errorf("glance %d: %q, want %q; %v", i, got, want, err)
		}
	}
}

func TestAPositionThatWasPassedIsNoNews(t *testing.T) {
	r := made(t)
	r.write([]byte("onetwo"))
	_, _ = r.Upto(3) // what it returns is asserted above
	for _, position := range []uint64{0, 2, 3} {
		if got, err := r.Upto(position); len(got) > 0 || err != nil {
			t.Errorf("%d: %q, %v", position, got, err)
		}
	}
	if got, _ := r.Rest(); string(got) != "two" {
		t.Errorf("the rest is %q", got)
	}
}

func TestAPositionThatCannotBeIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ head, position uint64 }{
		"ahead of the head": {10, 11}, "more than there is room for": {Size + 1, Size + 1}, "the largest number": {1<<64 - 1, 1<<64 - 1},
	} {
		r := made(t)
		r.setHead(c.head)
		if got, err := r.Upto(c.position); err == nil {
			t.Errorf("%s: %d bytes and no error", name, len(got))
		}
	}
	r := made(t)
	r.setHead(9)
	_, _ = r.Glance()
	r.setHead(3)
	if _, err := r.Glance(); err == nil {
		t.Error("a head that went back: no error")
	}
}

func TestARingThatIsNotThereOrClosedHasNothingInIt(t *testing.T) {
	closed := made(t)
	closed.write([]byte("something"))
	closed.Close()
	for _, r := range []*Ring{nil, closed} {
		for _, read := range []func() ([]byte, error){r.Glance, r.Rest, func() ([]byte, error) { return r.Upto(9) }} {
			if got, err := read(); len(got) > 0 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		r.Close()
	}
}

func TestNobodyCanMakeTheFileShorter(t *testing.T) {
	r := made(t)
	if err := r.File().Truncate(0); err == nil && sealed {
		t.Error("it was made shorter")
	}
}

// FuzzRing lets a hostile writer choose head, position and tail between readings.
func FuzzRing(f *testing.F) {
	f.Add(uint64(10), uint64(10), uint64(20), uint64(0))
	f.Add(uint64(Size), uint64(Size-1), uint64(Size+5), uint64(1<<63))
	f.Fuzz(func(t *testing.T, head, position, later, tail uint64) {
		r := made(t)
		defer r.Close()
		r.setHead(head)
		read, _ := r.Upto(position)
		n := len(read)
		binary.LittleEndian.PutUint64(r.mem[64:], tail)
		_, _ = r.Glance()
		r.setHead(later)
		for _, again := range []func() ([]byte, error){r.Glance, r.Rest} {
			more, _ := again()
			n = max(n, len(more))
		}
		if n > Size {
			t.Errorf("%d bytes were read at once", n)
		}
	})
}
