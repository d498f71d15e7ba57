package lease

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"crisper/beat/lease/election"
)

func TestATermIsOverByTheClockBeforeAnyTimerHasFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := &times{start: time.Now()}
		times.set(time.Now().Add(4*time.Second), time.Now().Add(6*time.Second))
		ctx := newTermContext(t.Context(), times)
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		term := Term{Token: 1, times: times}
		if !term.Valid() || ctx.Err() != nil || term.Expiry().Sub(term.Deadline()) != 2*time.Second {
			t.Errorf("a term that has begun: valid %v, %v", term.Valid(), ctx.Err())
		}
		// Nothing is stepped: as in a process that was stopped, there is no event.
		time.Sleep(4 * time.Second)
		if term.Valid() {
			t.Error("valid after its deadline")
		}
		if ctx.Err() == nil || !errors.Is(context.Cause(ctx), ErrTermEnded) {
			t.Errorf("%v, because %v", ctx.Err(), context.Cause(ctx))
		}
		if child.Err() == nil {
			t.Error("a context made of the term's is still open")
		}
		times.set(time.Now().Add(time.Hour), time.Now().Add(time.Hour))
		if term.Valid() {
			t.Error("an ended term has become valid again")
		}
	})
}

func TestAnEndedTermSaysWhy(t *testing.T) {
	times := &times{start: time.Now()}
	times.set(time.Now().Add(time.Hour), time.Now().Add(time.Hour))
	ctx := newTermContext(t.Context(), times)
	ctx.close(election.Stopped)
	if cause := context.Cause(ctx).Error(); cause != "the term has ended: stop" {
		t.Error(cause)
	}
	if (Term{times: times}).Valid() {
		t.Error("valid after its end")
	}
}

func TestATermMadeByHandIsValid(t *testing.T) {
	if term := (Term{Token: 7}); !term.Valid() || !term.Deadline().IsZero() || !term.Expiry().IsZero() {
		t.Error("it has ended")
	}
}
