package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func controlPair(t *testing.T) (*Control, *os.File) {
	t.Helper()
	c, child, err := ControlPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); child.Close() })
	return c, child
}

func TestFilesTravelWithTheirFrame(t *testing.T) {
	c, child := controlPair(t)
	page, err := NewPage()
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	_, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	frame := AppendFrame(nil, Fork, 0, []byte(`{"child": 1}`))
	if err := c.SendWithFiles(frame, theirs, page.File()); err != nil {
		t.Fatal(err)
	}
	page.SetTarget(77)

	buf, oob := make([]byte, 1024), make([]byte, unix.CmsgSpace(8))
	n, oobn, _, _, err := unix.Recvmsg(int(child.Fd()), buf, oob, 0)
	if err != nil || !bytes.Equal(buf[:n], frame) {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 2 {
		t.Fatal(fds, err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	seen := make([]byte, PageSize)
	if n, err := unix.Pread(fds[1], seen, 0); err != nil || n != PageSize || seen[pageTarget] != 77 {
		t.Errorf("page holds %d in %d bytes, %v", seen[pageTarget], n, err)
	}
}

func TestControlSocketCarriesFramesLargerThanItsBuffer(t *testing.T) {
	c, child := controlPair(t)
	theirs, err := net.FileConn(child)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	child.Close()
	big := AppendFrame(nil, Options, 9, bytes.Repeat([]byte("0123456789"), 1<<19))
	sent := make(chan error, 1) // the sender must not wait for us when we fail
	go func() { sent <- c.Send(big) }()
	f, err := NewFrameReader(theirs).Next()
	if err != nil || !bytes.Equal(f.Payload, big[HeaderSize:]) {
		t.Fatalf("%d bytes, %v", len(f.Payload), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write(AppendFrame(nil, Loaded, 0, []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Next(); err != nil || f.Kind != Loaded {
		t.Fatal(f, err)
	}
	theirs.Close()
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if err := c.Send(big); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
}

func TestCloseEndsANextThatWaits(t *testing.T) {
	c, _ := controlPair(t)
	done := make(chan error)
	go func() {
		_, err := c.Next()
		done <- err
	}()
	c.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if err := c.Send([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}

func TestPageIsSharedByBothSides(t *testing.T) {
	p, err := NewPage()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.File().WriteAt([]byte{1, 2, 0, 0, 0, 0, 0, 0}, 0); err != nil { // as the child would
		t.Fatal(err)
	}
	if got := p.Current(); got != 0x201 {
		t.Errorf("current is %#x", got)
	}
	p.SetTarget(0x1ff)
	var b [8]byte
	if _, err := p.File().ReadAt(b[:], 8); err != nil || b != [8]byte{0xff, 1} {
		t.Errorf("target is %v, %v", b, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p.SetTarget(1) // after the end: nothing
	if p.Current() != 0 || p.Close() != nil {
		t.Error("a closed page is not empty")
	}
}

func TestALargeFrameTravelsThroughAFile(t *testing.T) {
	payload := bytes.Repeat([]byte("large"), MaxInline)
	s, err := Spill(payload)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := Parse(AppendLarge(nil, 3, Task, s.Path()))
	if err != nil || f.Kind != Large || Kind(f.Payload[0]) != Task {
		t.Fatal(f, err)
	}
	got, err := os.ReadFile(string(f.Payload[1:]))
	if err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(s.Path()); err == nil && strings.Contains(target, "crisper-frame") {
		t.Errorf("the file is still there: %s", target)
	}
}
