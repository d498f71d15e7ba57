package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary runs itself as the child: descriptor 3 is its socket.
const roleVariable = "WIRE_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		childMain(role, os.NewFile(3, "socket"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func childMain(role string, sock *os.File) {
	say := func(b []byte) {
		if _, err := sock.Write(b); err != nil {
			os.Exit(3)
		}
	}
	switch role {
	case "echo": // answers each task with Begun and Done, in one packet
		buf := make([]byte, maxPacket)
		for {
			n, err := sock.Read(buf)
			if err != nil || n == 0 {
				return
			}
			f, _, err := Parse(buf[:n])
			if err != nil || f.Kind == Exit {
				return
			}
			say(AppendDone(AppendFrame(nil, Begun, f.Seq, nil), f.Seq, Report{Outcome: Success}))
		}
	case "dies within a frame":
		whole := AppendFrame(nil, Done, 1, make([]byte, 100))
		say(AppendFrame(nil, Begun, 1, nil))
		say(whole[:50])
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute) // the signal ends it
	case "garbage":
		say([]byte("GET / HTTP/1.1\r\n\r\n"))
	case "huge length":
		say(append(binary.BigEndian.AppendUint32(nil, 1<<31), 'D', 0, 0))
	case "empty packet":
		if err := unix.Send(int(sock.Fd()), nil, 0); err != nil {
			os.Exit(3)
		}
		_, _ = sock.Read(make([]byte, 1)) // until the end of the test
	case "packet above the limit":
		if err := unix.SetsockoptInt(int(sock.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20); err != nil {
			os.Exit(3)
		}
		say(make([]byte, maxPacket+1000))
	case "flood":
		frame := AppendFrame(nil, Done, 1, make([]byte, 60<<10))
		for range 200 {
			say(frame)
		}
	case "leaves a process behind":
		cmd := exec.Command("/bin/sleep", "60")
		cmd.ExtraFiles = []*os.File{sock}
		if err := cmd.Start(); err != nil {
			os.Exit(3)
		}
		say(binary.BigEndian.AppendUint64([]byte{0, 0, 0, 9, byte(Hello)}, uint64(cmd.Process.Pid)))
	}
}

// startChild runs the test binary in a role, with its end of a new pair. The
// channel is closed when it has exited.
func startChild(t testing.TB, role string) (*Conn, <-chan struct{}) {
	t.Helper()
	conn, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		conn.Close()
	})
	return conn, exited
}

// hear receives until the end or the first error, finishing the socket when the
// child has exited, as the supervisor does.
func hear(t *testing.T, conn *Conn, exited <-chan struct{}) (batches [][]byte, err error) {
	t.Helper()
	go func() {
		<-exited
		conn.Finish()
	}()
	for {
		batch, err := conn.Receive(nil)
		if len(batch) > 0 {
			batches = append(batches, batch)
		}
		if err != nil {
			return batches, err
		}
	}
}

func TestABrokenChildIsNamedAndEndsOnlyItself(t *testing.T) {
	tests := []struct {
		role   string
		frames int    // whole ones before the trouble
		broken string // what Parse or Receive say
	}{
		{"dies within a frame", 1, "incomplete"},
		{"garbage", 0, "above the limit"},
		{"huge length", 0, "above the limit"},
		{"packet above the limit", 0, "above the limit"},
		{"empty packet", 0, "an empty packet"},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			conn, exited := startChild(t, tt.role)
			batches, err := hear(t, conn, exited)
			frames := 0
			for rest := bytes.Join(batches, nil); len(rest) > 0; frames++ {
				var perr error
				if _, rest, perr = Parse(rest); perr != nil {
					err = perr
					break
				}
			}
			if frames != tt.frames || err == nil || !strings.Contains(err.Error(), tt.broken) {
				t.Errorf("%d frames, then %v", frames, err)
			}
		})
	}
}

func TestAFloodIsReadInBoundedBatches(t *testing.T) {
	conn, exited := startChild(t, "flood")
	batches, err := hear(t, conn, exited)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	frames := 0
	for _, batch := range batches {
		if len(batch) > maxBatch+maxPacket {
			t.Errorf("a batch of %d bytes", len(batch))
		}
		for rest := batch; len(rest) > 0; frames++ {
			if _, rest, err = Parse(rest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if frames != 200 {
		t.Errorf("%d frames", frames)
	}
}

// The process that a task left behind holds the socket open. Its exit status
// ends the child all the same, after everything that it said.
func TestAChildEndsThoughItsOwnChildHoldsTheSocket(t *testing.T) {
	conn, exited := startChild(t, "leaves a process behind")
	batches, err := hear(t, conn, exited)
	if !errors.Is(err, io.EOF) || len(batches) != 1 {
		t.Fatalf("%d batches, %v", len(batches), err)
	}
	f, _, err := Parse(batches[0])
	if err != nil || f.Kind != Hello {
		t.Fatalf("%+v, %v", f, err)
	}
	_ = syscall.Kill(int(f.Seq), syscall.SIGKILL)
}

// Each frame is read by the child or taken back, never both and never neither.
func TestReclaimAndAReadingChildShareTheFramesBetweenThem(t *testing.T) {
	conn, _ := startChild(t, "echo")
	heard := make(chan uint64, 4096) // room for all that is sent: the receiver never waits
	go func() {
		defer close(heard)
		for {
			batch, err := conn.Receive(nil)
			for rest := batch; len(rest) > 0; {
				var f Frame
				var perr error
				if f, rest, perr = Parse(rest); perr != nil {
					return
				}
				if f.Kind == Done {
					heard <- f.Seq
				}
			}
			if err != nil {
				return
			}
		}
	}()
	if err := conn.Send(AppendFrame(nil, Task, 0, nil)); err != nil {
		t.Fatal(err)
	}
	<-heard // it is awake
	const count = 2000
	times := make(map[uint64]int, count)
	for seq := uint64(1); seq <= count; {
		ok, err := conn.TrySend(AppendFrame(nil, Task, seq, nil))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			seq++
		}
		if !ok || seq%50 == 0 {
			frames, err := conn.Reclaim()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				times[f.Seq]++
			}
		}
	}
	// The last frame says that everything before it has been read.
	if err := conn.Send(AppendFrame(nil, Task, count+1, nil)); err != nil {
		t.Fatal(err)
	}
	echoed := 0
	for seq := range heard {
		if seq == count+1 {
			break
		}
		times[seq]++
		echoed++
	}
	for seq := uint64(1); seq <= count; seq++ {
		if times[seq] != 1 {
			t.Errorf("frame %d came %d times", seq, times[seq])
		}
	}
	t.Logf("%d of %d frames were read by the child", echoed, count)
}

func BenchmarkPingPong(b *testing.B) {
	conn, _ := startChild(b, "echo")
	frame := AppendFrame(nil, Task, 1, make([]byte, 1000))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := conn.TrySend(frame); !ok || err != nil {
			b.Fatal(ok, err)
		}
		batch, err := conn.Receive(buf[:0])
		if err != nil {
			b.Fatal(err)
		}
		buf = batch
	}
}
