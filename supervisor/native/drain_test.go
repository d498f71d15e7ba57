package native

import (
	"syscall"
	"testing"
	"time"

	"crisper/broker"
)

// The broker books what a Take finds on us, as begun if a child is idle, before the
// answer is here. Peers would record it as failed if we had left without it.
func TestWhatATakeUnderWayBringsIsGivenBackBeforeTheWorkerLeaves(t *testing.T) {
	w := newWorld(t, nil, catalogue())
	stall := make(chan struct{})
	w.broker.mu.Lock()
	w.broker.stall = stall
	w.broker.mu.Unlock()
	w.publish("early", 1)
	<-stall
	w.signals <- syscall.SIGTERM
	select {
	case <-w.exited:
		t.Fatal("it left with a take under way")
	case <-time.After(300 * time.Millisecond): // that it does not leave is no event; it would take some 10 ms
	}
	stall <- struct{}{}
	w.leave()
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	if w.broker.verdict["task-1"] != broker.Restore || len(w.broker.held) > 0 {
		t.Errorf("verdicts %v, %d still held", w.broker.verdict, len(w.broker.held))
	}
}
