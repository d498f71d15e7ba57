package native

import (
	"slices"
	"strings"

	"crisper/broker"
)

// Short tasks are taken and recorded as begun in one step, as many as the executors'
// sockets have room for, and go straight there: one script of the broker for a batch
// instead of two, and one word for each task instead of two. What is recorded like
// this is what would be promised a moment later (dispatch.promise), and no more.

// maxListed bounds the names that one Take carries.
const maxListed = 16

// mayStart tells whether the start of anything may be recorded before we have seen it.
func (l *loop) mayStart() bool {
	return l.allEarly && !l.heralding && len(l.remote.limited) == 0 && !l.loading()
}

// fillsUp tells whether takes are of this kind now.
func (l *loop) fillsUp() bool {
	if l.cfg.Depth <= 1 || l.cfg.DisablePrefetch || l.paused || len(l.listed) == 0 || !l.overall.short() {
		return false
	}
	_, ok := l.broker.(broker.Starter)
	return ok && l.mayStart()
}

// fillUp bounds a Take by the room in the sockets; false: nobody is hungry yet, or
// something waits that has to go first. When one is hungry all are filled, so that
// batches are large.
func (l *loop) fillUp(r *takeRequest) bool {
	if l.book.Front() != nil {
		return false
	}
	room, hungry := 0, r.start > 0
	for _, c := range l.inOrder {
		if n := l.roomAhead(c); n > 0 {
			room, c.filling = room+n, true
			hungry = hungry || l.hungry(c)
		}
	}
	if !hungry || room == 0 {
		return false
	}
	r.n, r.short = min(r.n, room), l.listed
	return true
}

// roomAhead is how many more short tasks the child may be given.
func (l *loop) roomAhead(c *child) int {
	if !c.ready || c.retired || !l.pool.MayTake(c.id) || (c.busy && l.now.Sub(c.headBegun) >= shortTask) {
		return 0
	}
	n := min(l.cfg.Depth-c.waiting-c.promised, l.room(c))
	if mean := l.overall.mean; mean > 0 {
		n = min(n, max(int((lookahead.Seconds()-c.expected)/mean), 0))
	}
	if c.idle() {
		n = max(n, min(1, l.room(c)))
	}
	return n
}

// hungry: half of what may lie ready is gone.
func (l *loop) hungry(c *child) bool {
	return c.waiting+c.promised <= l.cfg.Depth/2 && c.expected <= lookahead.Seconds()/2
}

// relist notes a kind that has become short, or is so no more. The list is read by
// takes under way, so it is never changed, only replaced.
func (l *loop) relist(k *taskKind) {
	short := k.short()
	if k.listed == short {
		return
	}
	k.listed = short
	if !short {
		l.listed = slices.DeleteFunc(slices.Clone(l.listed), func(name string) bool { return name == k.name })
	} else if len(l.listed) < maxListed && plain(k.name) {
		l.listed = append(slices.Clip(l.listed), k.name)
	}
}

// plain: the name stands in a message as it is.
func plain(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}
