package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is also the bad child: with this variable set it does what the
// variable says instead of running tests.
const actVariable = "PROCESS_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actVariable); act != "" {
		misbehave(strings.Fields(act))
	}
	goleak.VerifyTestMain(m)
}

// misbehave is the life of a child. It does not return.
func misbehave(act []string) {
	switch act[0] {
	case "eat": // eat MIB: touch so much memory, say so, stay until stdin ends
		mib, _ := strconv.Atoi(act[1])
		eat(mib)
		fmt.Println("ready")
	case "parent": // parent WORD…: have a child that does WORD…
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), actVariable+"="+strings.Join(act[1:], " "))
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "glutton": // when stdin ends, eat until it kills us
		_, _ = io.Copy(io.Discard, os.Stdin)
		eat(512)
	case "witness": // see a child die for want of memory in our own cgroup
		witness()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// eat takes memory that neither the garbage collector nor the race detector,
// which doubles the heap, knows of.
func eat(mib int) {
	pages, err := syscall.Mmap(-1, 0, mib<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; i < len(pages); i += 4096 {
		pages[i] = 1
	}
}

// child starts the test binary as a child that lives until the test ends, and
// waits for its first line.
func child(t testing.TB, words string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"="+words, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // dead or alive, as the test left it
	})
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	return cmd
}
