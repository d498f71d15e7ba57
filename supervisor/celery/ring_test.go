package celery

import (
	"encoding/binary"
	"math"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/celery/hang"
	"crisper/supervisor/celery/ring"
)

// fact is a record as the agent writes it; package held has the golden ones.
func fact(kind byte, at float64, field string) []byte {
	return record(kind, at, nil, field)
}

func begins(at float64, tag, id, name string, late byte) []byte {
	sizes := []byte{late, byte(len(tag)), 0, byte(len(id)), 0}
	return record('a', at, sizes, tag+id+name)
}

func record(kind byte, at float64, sizes []byte, fields string) []byte {
	text := binary.LittleEndian.AppendUint64([]byte{kind}, math.Float64bits(at))
	text = append(append(text, sizes...), fields...)
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(text))), text...)
}

// writes puts records into a ring that is not full, and tells nobody. It returns the head.
func writes(t *testing.T, file *os.File, records ...[]byte) uint64 {
	t.Helper()
	word := make([]byte, 8)
	_, err := file.ReadAt(word, 0)
	head := binary.LittleEndian.Uint64(word)
	for _, r := range records {
		if err == nil {
			_, err = file.WriteAt(r, ring.Header+int64(head))
			head += uint64(len(r))
		}
	}
	if err == nil {
		_, err = file.WriteAt(binary.LittleEndian.AppendUint64(nil, head), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// watched is a warden of one child that has a ring.
func watched(t *testing.T) (*warden, *child, *os.File) {
	t.Helper()
	w := newWarden(Care{HangTimeout: time.Minute}, zap.NewNop(), nil)
	w.ready, w.counted = func(*child) {}, func(*child, counts) {}
	c := &child{id: 1}
	theirs, err := c.connect()
	if err != nil {
		t.Fatal(err)
	}
	w.children[1] = c
	t.Cleanup(func() { closeAll(theirs); c.disconnect() })
	return w, c, theirs[1]
}

func TestTheRingIsReadAsFarAsALineSays(t *testing.T) {
	w, c, file := watched(t)
	writes(t, file, fact('t', 1, "a"), fact('t', 2, "b"))
	for _, step := range []struct {
		line string
		held int
	}{{`{"said":"told","upto":0}`, 0}, {`{"said":"told","upto":12}`, 1}, {`{"said":"counts","upto":24}`, 2}, {`{"said":"told","upto":12}`, 2}} {
		w.onLines(1, []byte(step.line+"\n"))
		if c.hand.Len() != step.held || c.off {
			t.Errorf("after %s: %d in hand, off %t", step.line, c.hand.Len(), c.off)
		}
	}
}

func TestAWorkerThatSaysNothingIsReadWithinTwoGlances(t *testing.T) {
	w, c, file := watched(t)
	writes(t, file, fact('t', 1, "a"))
	for i, want := range []int{0, 1} {
		c.glanced = time.Time{}
		w.glance()
		if c.hand.Len() != want {
			t.Errorf("glance %d: %d in hand", i, c.hand.Len())
		}
	}
	writes(t, file, fact('t', 2, "b"))
	w.glance() // too soon
	w.glance()
	if c.hand.Len() != 1 {
		t.Error("two glances at once are none: what was written may not be there yet")
	}
}

func TestAnAgentThatHungUpIsReadToItsEnd(t *testing.T) {
	w, c, file := watched(t)
	writes(t, file, fact('t', 1, "a"), fact('t', 2, "b"), fact('s', 3, "a"))
	w.onHungUp(1)
	if c.hand.Len() != 1 || c.off {
		t.Errorf("%d in hand, off %t", c.hand.Len(), c.off)
	}
}

func TestNonsenseInTheRingSwitchesTheAgentOffAndWhatWasKnownStays(t *testing.T) {
	for name, line := range map[string]string{
		"a position ahead of the head": `{"said":"told","upto":1000}`, "within a record": `{"said":"told","upto":17}`, "no record": `{"said":"told","upto":28}`,
	} {
		w, c, file := watched(t)
		w.watch.Ready(time.Now(), 1, "prefork")
		w.watch.Said(time.Now(), 1, hang.Report{Queues: []string{"default"}})
		writes(t, file, fact('t', 1, "a"), fact('?', 2, "what"))
		w.onLines(1, []byte(line+"\n"))
		if !c.off || c.hand.Len() > 1 || len(w.watch.Queues()) > 0 {
			t.Errorf("%s: off %t, %d in hand; it is judged by %v", name, c.off, c.hand.Len(), w.watch.Queues())
		}
		n := c.hand.Len()
		c.glanced = time.Time{}
		w.glance()
		w.onHungUp(1)
		if c.hand.Len() != n {
			t.Errorf("%s: it is read on", name)
		}
	}
}
