package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"crisper/broker/celerymsg"
)

// childConn is a plain blocking reader and writer on the child's end.
func pair(t testing.TB) (*Conn, *os.File) {
	t.Helper()
	c, child, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); child.Close() })
	return c, child
}

func frameOf(seq uint64) []byte { return AppendFrame(nil, Task, seq, bytes.Repeat([]byte{'x'}, 100)) }

func TestChildReadsEachFrameAsOnePacket(t *testing.T) {
	c, child := pair(t)
	if err := c.Send(frameOf(1), frameOf(2)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	for seq := uint64(1); seq <= 2; seq++ {
		n, err := child.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		f, rest, err := Parse(buf[:n])
		if err != nil || len(rest) != 0 || f.Seq != seq {
			t.Fatalf("got %+v, %d bytes more, %v", f.Seq, len(rest), err)
		}
	}
}

func TestReclaimReturnsExactlyWhatTheChildHasNotRead(t *testing.T) {
	c, child := pair(t)
	for seq := uint64(1); seq <= 5; seq++ {
		if ok, err := c.TrySend(frameOf(seq)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	buf := make([]byte, maxPacket)
	for range 2 {
		if _, err := child.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	frames, err := c.Reclaim()
	if err != nil {
		t.Fatal(err)
	}
	if len(frames) != 3 || frames[0].Seq != 3 || frames[2].Seq != 5 || len(frames[1].Payload) != 100 {
		t.Fatalf("reclaimed %+v", frames)
	}
}

func TestTrySendSaysNoWhenTheSocketIsFull(t *testing.T) {
	c, _ := pair(t)
	big := AppendFrame(nil, Task, 1, make([]byte, MaxInline-HeaderSize))
	for range 1000 {
		ok, err := c.TrySend(big)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
	}
	t.Fatal("a thousand frames went into a socket that nobody reads")
}

func TestReceiveReturnsAllPacketsThatAreReady(t *testing.T) {
	c, child := pair(t)
	for seq := uint64(1); seq <= 3; seq++ {
		if _, err := child.Write(AppendFrame(AppendFrame(nil, Begun, seq, nil), Done, seq, nil)); err != nil {
			t.Fatal(err)
		}
	}
	batch, err := c.Receive(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := 6 * HeaderSize; len(batch) != want {
		t.Fatalf("batch has %d bytes, want %d", len(batch), want)
	}
}

func TestAfterFinishEverythingThatTheChildSaidIsReadAndThenTheEnd(t *testing.T) {
	c, child := pair(t)
	if _, err := child.Write(frameOf(7)); err != nil {
		t.Fatal(err)
	}
	c.Finish() // the child's end is still open here, as in a process that it left behind
	batch, err := c.Receive(nil)
	if err == nil {
		_, err = c.Receive(nil)
	}
	if len(batch) == 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("got %d bytes, %v", len(batch), err)
	}
	if _, err := c.TrySend(frameOf(8)); !errors.Is(err, ErrGone) {
		t.Fatalf("sending to a finished child: %v", err)
	}
}

func TestCloseEndsAReceiveThatWaits(t *testing.T) {
	c, _ := pair(t)
	done := make(chan error)
	go func() {
		_, err := c.Receive(nil)
		done <- err
	}()
	c.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}

func TestTaskFrameHoldsRequestTypesAndBody(t *testing.T) {
	m := celerymsg.Message{Headers: []byte(`{"id": "1"}`), Properties: []byte(`{}`), Body: []byte("body"),
		ContentType: "application/json", ContentEncoding: "utf-8"}
	f, rest, err := Parse(AppendTask(nil, 42, &m, "w@h"))
	if err != nil || len(rest) != 0 || f.Kind != Task || f.Seq != 42 {
		t.Fatalf("%+v %v", f, err)
	}
	request, ct, ce, body, err := ParseTask(f.Payload)
	if err != nil || ct != "application/json" || ce != "utf-8" || string(body) != "body" {
		t.Fatal(ct, ce, string(body), err)
	}
	if !bytes.HasPrefix(request, []byte(`{"id": "1", "properties": {}`)) {
		t.Fatalf("%s", request)
	}
}
