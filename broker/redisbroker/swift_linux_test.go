package redisbroker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// pair is a connection as requests use it, and the server's end.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if ours, err = hasten(net.Dial("tcp", listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
	if theirs, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestARequestConnectionCarriesMoreThanTheKernelHasRoomFor(t *testing.T) {
	ours, theirs := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		_, _ = io.Copy(theirs, theirs) // an echo
	}()
	go func() {
		if n, err := ours.Write(sent); n != len(sent) || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(ours, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what came back differs: %v", err)
	}
}

func TestARequestConnectionFailsAsAPlainOneDoes(t *testing.T) {
	one := make([]byte, 1)
	t.Run("deadline", func(t *testing.T) {
		ours, _ := pair(t)
		_ = ours.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := ours.Read(one)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("%v", err)
		}
		_ = ours.SetWriteDeadline(time.Now().Add(time.Millisecond))
		for err = nil; err == nil; {
			_, err = ours.Write(make([]byte, 1<<20))
		}
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("%v", err)
		}
	})
	t.Run("the server's end", func(t *testing.T) {
		ours, theirs := pair(t)
		theirs.Close()
		if n, err := ours.Read(one); n != 0 || err != io.EOF {
			t.Fatalf("%d, %v", n, err)
		}
	})
	t.Run("our end", func(t *testing.T) {
		ours, _ := pair(t)
		read := make(chan error, 1)
		go func() { _, err := ours.Read(one); read <- err }()
		ours.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("%v", err)
		}
		if _, err := ours.Write(one); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("%v", err)
		}
	})
}

// looks is what go-redis does before it uses a connection that lay idle.
func looks(conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(uintptr) bool { return true })
}

func TestAConnectionThatTheServerHasClosedIsSeenBeforeItIsUsed(t *testing.T) {
	if _, ok := any(looked{}).(syscall.RawConn); !ok {
		t.Fatal("go-redis looks through a syscall.RawConn")
	}
	ours, theirs := pair(t)
	if err := looks(ours); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	_, _ = theirs.Write([]byte("+unasked\r\n"))
	until(t, "the unasked answer is seen", func() bool { return errors.Is(looks(ours), errUnasked) })
	_, _ = io.ReadFull(ours, make([]byte, len("+unasked\r\n")))
	theirs.Close()
	until(t, "the end is seen", func() bool { return errors.Is(looks(ours), io.EOF) })
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // the kernel tells nobody that bytes have arrived
	}
}
