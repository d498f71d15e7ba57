package reaper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// beInit is a PID 1 that starts 1 000 children that each leave one orphan, and
// prints what it knows of the orphans and of the children. It does not return.
func beInit() {
	const children = 1000
	if os.Getpid() != 1 {
		fmt.Println("not PID 1 but", os.Getpid())
		os.Exit(1)
	}
	if err := BecomeSubreaper(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	r := New(zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = r.Run(ctx) }()
	var all sync.WaitGroup
	var wrong failures
	tokens := make(chan struct{}, 20) // children at a time: enough to overlap, few enough for a small machine
	for n := range children {
		tokens <- struct{}{}
		all.Go(func() { leaveOne(r, n, &all, &wrong); <-tokens })
	}
	all.Wait()
	cancel()
	fmt.Printf("wrong %d, orphans %d, zombies %d\n", wrong.count(), r.Orphans(), zombies())
	os.Exit(0)
}

// leaveOne starts a shell that leaves an orphan with status n%100 (by signal 9
// each seventh time) and itself exits with n%90.
func leaveOne(r *Reaper, n int, all *sync.WaitGroup, wrong *failures) {
	last := fmt.Sprintf("exit %d", n%100)
	if n%7 == 0 {
		last = "kill -9 $$"
	}
	// The orphan says its own pid: $! of the shell would be the one in between.
	script := fmt.Sprintf(`(sh -c 'echo $$; exec >&-; %s' & ) ; exit %d`, last, n%90)
	cmd := exec.Command("/bin/sh", "-c", script)
	var out strings.Builder
	cmd.Stdout = &out
	wait, err := r.Start(cmd)
	if err != nil {
		wrong.add("start", n, err)
		return
	}
	if code := exitCode(wait()); code != n%90 {
		wrong.add("exit status of the child", n, code)
	}
	var pid int
	if _, err := fmt.Sscan(out.String(), &pid); err != nil {
		wrong.add("pid of the orphan", n, err)
		return
	}
	all.Add(1)
	r.Watch(pid, func(st Status) {
		defer all.Done()
		killed := st.Signal == syscall.SIGKILL
		if killed != (n%7 == 0) || !killed && st.Code != n%100 {
			wrong.add("status of the orphan", n, st)
		}
	})
}

type failures struct {
	mu sync.Mutex
	n  int
}

func (f *failures) add(what string, n int, got any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	fmt.Println(what, n, got)
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// zombies counts our ended children that are still there, once they have had the
// time to be reaped.
func zombies() int {
	var n int
	for range 100 {
		if n = len(children()); n == 0 {
			return 0
		}
		time.Sleep(10 * time.Millisecond) // a subshell in between may still be leaving
	}
	return n
}
