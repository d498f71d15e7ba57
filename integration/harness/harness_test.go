//go:build integration

package harness_test

import (
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

// The harness is checked against the worker that it must not doubt: Celery's own.

func TestAStockWorkerRunsWhatTheClientSends(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	w := s.Stock(t, "-c", "1")
	id := s.Send(t, harness.T("add", 2, 3))
	if r := s.Result(t, id); r.State != "SUCCESS" || r.Text() != "5" {
		t.Errorf("add(2, 3) ended as %s with %s", r.State, r.Text())
	}
	ids, err := s.Client.Bulk(harness.T("tick", 1), 200)
	harness.Must(t, err)
	harness.Must(t, s.Journal.UntilEnded(harness.Deadline(t, 30*time.Second), ids...))
	verdict, err := s.Journal.Judge(ids)
	harness.Must(t, err)
	if len(verdict.Lost)+len(verdict.Doubled) > 0 {
		t.Errorf("of %d tasks %d were lost, %d doubled", verdict.Tasks, len(verdict.Lost), len(verdict.Doubled))
	}
	harness.Must(t, w.Signal(syscall.SIGTERM))
	if code, _, err := w.Wait(harness.Deadline(t, 30*time.Second)); err != nil || code != 0 {
		t.Errorf("a warm shutdown ended with %d, %v", code, err)
	}
}

func TestCanvasIsWrittenAsInCelery(t *testing.T) {
	s := harness.NewStage(t, harness.Options{})
	s.Stock(t, "-c", "1")
	var sum int
	harness.Must(t, s.Client.Eval("chord([add.s(i, i) for i in range(4)])(total.s()).get(timeout=90)", &sum))
	if sum != 12 {
		t.Errorf("the chord's sum is %d", sum)
	}
}

func TestRedisComesBackWithItsDataOnItsPort(t *testing.T) {
	b := harness.New(t)
	ctx := harness.Deadline(t, 30*time.Second)
	r, err := b.StartRedis(ctx, harness.RedisOptions{Durable: true})
	harness.Must(t, err)
	harness.Must(t, r.Client.Set(ctx, "kept", "yes", 0).Err())
	r.Kill()
	harness.Must(t, r.Start(ctx))
	if got := r.Client.Get(ctx, "kept").Val(); got != "yes" {
		t.Errorf("after kill -9 the value is %q", got)
	}
}

func TestAHalfOpenConnectionAnswersNothingUntilItIsHealed(t *testing.T) {
	b := harness.New(t)
	ctx := harness.Deadline(t, 30*time.Second)
	r, err := b.StartRedis(ctx, harness.RedisOptions{})
	harness.Must(t, err)
	p, err := b.StartProxy(r)
	harness.Must(t, err)
	through := r.Through(p)
	defer through.Close()
	harness.Must(t, through.Ping(ctx).Err())
	harness.Must(t, p.HalfOpen())
	if err := through.Ping(harness.Deadline(t, 300*time.Millisecond)).Err(); err == nil {
		t.Error("a half-open connection answered")
	}
	harness.Must(t, p.Heal(ctx))
	harness.Must(t, harness.Until(ctx, "an answer", func() bool { return through.Ping(ctx).Err() == nil }))
}
