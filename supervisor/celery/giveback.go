package celery

import (
	"context"
	"math"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/celery/held"
)

// restoreAgain is the pause between two tries to give back what a dead worker held.
const restoreAgain = time.Second

// namedTasks bounds the lines about tasks that one death costs.
const namedTasks = 50

// moreDeaths is how long the next death may come after one that was not ours: a kernel that
// is short of memory kills one process after the other.
const moreDeaths = 500 * time.Millisecond

// giveBack returns to the broker what a worker that is gone still held, and tells of
// the tasks that went with it. Nobody of its processes lives any more.
func (w *warden) giveBack(c *child, why string) {
	w.tellGone(c, c.hand.GoneFor(c.hand.Deliveries(math.Inf(1))), why) // whether the broker answers or not
	if c.keeper == nil || c.hand.Len() == 0 {
		return // the broker gives back by itself what is still in hand
	}
	w.returning++
	w.whenNobodyDies(c, func() {
		c.keeper.whenIdle(func() {
			list, blamed := c.hand.Deliveries(math.Inf(1)), !c.told || c.oom
			for i := range list {
				list[i].Died = list[i].Died && blamed
				list[i].Limit = w.PoisonLimit
			}
			w.restore(c, list, "what a dead worker held", func(returned []broker.Returned, err error) { w.onReturned(c, returned, why, err) })
		})
	})
}

// whenNobodyDies: a worker in its last moments may still have asked Redis for a message,
// and what is given to it then is lost, for kombu takes before it records. It has only
// moments, since KILL follows. Who is killed by others has not even these; but after c was,
// one that lives may be the next.
func (w *warden) whenNobodyDies(c *child, do func()) {
	wait := func() {
		w.waiting = append(w.waiting, do)
		w.goOn()
	}
	if !c.struck || len(w.children) == 0 {
		wait()
		return
	}
	time.AfterFunc(moreDeaths, func() { w.post(wait) })
}

func (w *warden) goOn() {
	for _, c := range w.children {
		if c.dying {
			return
		}
	}
	waiting := w.waiting
	w.waiting = nil
	for _, do := range waiting {
		do()
	}
}

// anew: a worker that lives has lost its connection, and with it what it had taken and not
// begun. Kombu puts that back, unless it cannot reach Redis either; a delivery that is back
// is not found again.
func (w *warden) anew(c *child) {
	taken := c.hand.Taken()
	if c.keeper == nil || c.hand.Len() == 0 {
		return
	}
	w.returning++
	c.keeper.whenIdle(func() {
		w.restore(c, c.hand.Forgotten(taken), "what a worker has forgotten", func(returned []broker.Returned, err error) {
			w.returning--
			if back, _ := w.count(returned); err != nil || back > 0 {
				w.log.Warn("what a worker forgot when it lost its connection was given back",
					zap.String("node", c.node), zap.Int("deliveries", back), zap.Error(err))
			}
		})
	})
}

// restore asks the broker aside, and tells what came of it in the loop.
func (w *warden) restore(c *child, list []broker.Held, what string, then func([]broker.Returned, error)) {
	go func() {
		returned, err := restore(w.life, c.keeper, list, func(err error) {
			w.log.Warn("cannot give back "+what+"; it is tried again", zap.String("node", c.node), zap.Error(err))
		})
		w.post(func() { then(returned, err) })
	}()
}

// restore tries until it is done or ctx ends; an answer that was lost costs nothing,
// for what went back is not found again.
func restore(ctx context.Context, k broker.Keeper, list []broker.Held, complain func(error)) (all []broker.Returned, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	for try := 0; ; try++ {
		returned, err := k.Restore(ctx, list)
		all = append(all, returned...)
		if err == nil {
			return all, nil
		}
		if try == 0 {
			complain(err)
		}
		select {
		case <-ctx.Done():
			return all, err
		case <-time.After(restoreAgain):
		}
	}
}

func (w *warden) onReturned(c *child, returned []broker.Returned, why string, err error) {
	w.returning--
	if err != nil {
		w.log.Error("what a worker held was not given back: it comes back after the visibility timeout", zap.String("node", c.node), zap.Error(err))
	} else {
		defer func() { w.tellGone(c, c.hand.Gone(returned), why) }()
	}
	back, parked := w.count(returned)
	for _, r := range parked {
		task := c.hand.TaskOf(r.Tag)
		w.metrics.Parked(task.Name)
		w.metrics.TaskFinished(task.Name, "parked", 0)
		w.log.Error("a message was put into the dead-letter list: workers died while running it",
			zap.String("task", task.Name), zap.String("id", task.ID), zap.String("queue", r.Queue), zap.Int("deaths", r.Deaths))
	}
	if back > 0 {
		w.log.Warn("what a worker held was given back", zap.String("node", c.node), zap.Int("deliveries", back))
	}
}

// count counts what became of deliveries. Those that were acknowledged in their worker's
// place are nothing that anybody has to know of.
func (w *warden) count(returned []broker.Returned) (back int, parked []broker.Returned) {
	for _, r := range returned {
		switch {
		case r.Parked:
			parked = append(parked, r)
		case !r.Acked:
			back++
		}
	}
	w.metrics.Settled("restore", back)
	w.metrics.Settled("park", len(parked))
	w.metrics.Settled("ack", len(returned)-back-len(parked))
	return back, parked
}

// tellGone: tasks that were acknowledged when they began end with their worker.
func (w *warden) tellGone(c *child, gone []held.Task, why string) {
	for i, t := range gone {
		w.metrics.TaskFinished(t.Name, "lost", 0)
		if i < namedTasks {
			w.log.Warn("a task that was acknowledged early is gone with its worker", zap.String("task", t.Name), zap.String("id", t.ID),
				zap.String("node", c.node), zap.String("status", why))
		}
	}
	if len(gone) > namedTasks {
		w.log.Warn("more tasks are gone with their worker", zap.Int("tasks", len(gone)-namedTasks), zap.String("node", c.node))
	}
	w.record(c, gone, why)
}

// record has tasks that are gone recorded as failed. An agent that was off has not told
// which of them had ended.
func (w *warden) record(c *child, gone []held.Task, why string) {
	if len(gone) == 0 || w.records == nil || c.off {
		return
	}
	w.recording++
	w.records.put(lost{node: c.node, reason: c.deathOf(why), start: c.start, tasks: gone, over: func() {
		w.post(func() { w.recording-- })
	}})
}

// deathOf is what became of a child, in Celery's words (billiard/common.py, human_status).
func (c *child) deathOf(status string) string {
	if c.cut {
		return "Task was cut off: the worker's grace period ended before it did."
	}
	return "Worker exited prematurely: " + strings.Replace(status, "exit status ", "exitcode ", 1) + "."
}
