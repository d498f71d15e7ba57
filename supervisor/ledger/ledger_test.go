package ledger

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"crisper/broker"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// check holds the book to its invariants (doc.go).
func check[T any](l *Ledger[T]) error {
	var counts [places]int
	accepted := 0
	for seq, e := range l.bySeq {
		counts[e.Place]++
		if e.Accepted && e.Place != Settling {
			accepted++
		}
		switch {
		case e.Seq != seq:
			return fmt.Errorf("entry %d stands under %d", e.Seq, seq)
		case e.Lost && e.Place == Settling:
			return fmt.Errorf("lost entry %d is settling", seq)
		case e.Early && !e.Accepted && (e.Place == Queued || e.Place == Active):
			return fmt.Errorf("entry %d is %s before it is accepted", seq, e.Place)
		}
	}
	if counts != l.counts {
		return fmt.Errorf("counts are %v, entries say %v", l.counts, counts)
	}
	if accepted != l.accepted {
		return fmt.Errorf("accepted is %d, entries say %d", l.accepted, accepted)
	}
	return checkLists(l)
}

func checkLists[T any](l *Ledger[T]) error {
	if l.reserved.n != l.counts[Reserved] || len(l.scheduled) != l.counts[Scheduled] {
		return fmt.Errorf("lists hold %d and %d, counts say %v", l.reserved.n, len(l.scheduled), l.counts)
	}
	for i := range l.reserved.n {
		if e := *l.reserved.at(i); e.Place != Reserved {
			return fmt.Errorf("entry %d stands in the line and is %s", e.Seq, e.Place)
		}
	}
	sent := 0
	for child, q := range l.sent {
		sent += len(q)
		for i, e := range q {
			if e.Child != child || (e.Place != Queued && e.Place != Active) || (e.Place == Active && i > 0) {
				return fmt.Errorf("child %d holds entry %d at %d which is %s of child %d", child, e.Seq, i, e.Place, e.Child)
			}
		}
	}
	if sent != l.counts[Queued]+l.counts[Active] {
		return fmt.Errorf("children hold %d, counts say %v", sent, l.counts)
	}
	return nil
}

func take(t *testing.T, l *Ledger[int], tag string) *Entry[int] {
	t.Helper()
	e, err := l.Take(broker.Delivery{Tag: broker.Tag(tag)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestALateTaskGoesThroughAChildAndIsSettledOnce(t *testing.T) {
	l := New[int]()
	e := take(t, l, "a")
	must(t, l.Reserve(e))
	must(t, l.Send(e, 7))
	if _, err := l.Begin(7, e.Seq); err != nil {
		t.Fatal(err)
	}
	if err := l.Settle(e, broker.Ack); !errors.Is(err, ErrPlace) {
		t.Fatalf("settled while a child runs it: %v", err)
	}
	if _, err := l.End(7, e.Seq); err != nil {
		t.Fatal(err)
	}
	must(t, l.Settle(e, broker.Ack))
	if err := l.Settle(e, broker.Ack); !errors.Is(err, ErrPlace) {
		t.Fatalf("settled twice: %v", err)
	}
	must(t, l.Settled(e))
	if l.Len() != 0 {
		t.Fatal("the book is not empty")
	}
}

func TestAnEarlyTaskIsNotSentBeforeTheBrokerKnows(t *testing.T) {
	l := New[int]()
	e := take(t, l, "a")
	e.Early = true
	must(t, l.Reserve(e))
	if err := l.Send(e, 7); !errors.Is(err, ErrPlace) {
		t.Fatalf("sent before it was accepted: %v", err)
	}
	must(t, l.Accept(e, 7))
	must(t, l.Accepted(e))
	if l.AcceptedCount() != 1 {
		t.Fatal("not counted as accepted")
	}
	must(t, l.Send(e, 7))
}

func TestWhatADeadChildHadNotBegunGoesBackInOrder(t *testing.T) {
	l := New[int]()
	var es []*Entry[int]
	for _, tag := range []string{"a", "b", "c", "d"} {
		e := take(t, l, tag)
		must(t, l.Reserve(e))
		es = append(es, e)
	}
	for _, e := range es[:3] {
		must(t, l.Send(e, 7))
	}
	if _, err := l.Begin(7, es[0].Seq); err != nil {
		t.Fatal(err)
	}
	if active := l.Bury(7); active != es[0] {
		t.Fatalf("the active task is %v", active)
	}
	for _, want := range []string{"b", "c", "d"} {
		e := l.Front()
		if string(e.Delivery.Tag) != want {
			t.Fatalf("next is %s, want %s", e.Delivery.Tag, want)
		}
		must(t, l.Settle(e, broker.Restore))
	}
}

func TestTheChildMayReadBetweenTwoOfOurReads(t *testing.T) {
	l := New[int]()
	var all []*Entry[int]
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		e := take(t, l, tag)
		must(t, l.Reserve(e))
		must(t, l.Send(e, 7))
		all = append(all, e)
	}
	if _, err := l.Begin(7, all[0].Seq); err != nil {
		t.Fatal(err)
	}
	// We read b, the child ended a and read c, we read d and e.
	must(t, l.TakeBack(7, []Seq{all[1].Seq, all[3].Seq, all[4].Seq}))
	if _, err := l.End(7, all[0].Seq); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Begin(7, all[2].Seq); err != nil {
		t.Fatalf("what the child read is its own: %v", err)
	}
	if front := l.Front(); front != all[1] || all[3].Place != Reserved || all[2].Place != Active {
		t.Fatalf("in front stands %v", front)
	}
}

func TestNothingThatAnUnbelievableChildHeldGoesBackByItself(t *testing.T) {
	l := New[int]()
	for _, tag := range []string{"a", "b"} {
		e := take(t, l, tag)
		must(t, l.Reserve(e))
		must(t, l.Send(e, 7))
	}
	if held := l.Surrender(7); len(held) != 2 || l.Front() != nil {
		t.Fatalf("surrendered %d, and next in line is %v", len(held), l.Front())
	}
}

func TestTakingBackIsRefusedForATaskThatHasBegun(t *testing.T) {
	l := New[int]()
	e := take(t, l, "a")
	must(t, l.Reserve(e))
	must(t, l.Send(e, 7))
	if _, err := l.Begin(7, e.Seq); err != nil {
		t.Fatal(err)
	}
	if err := l.TakeBack(7, []Seq{e.Seq}); !errors.Is(err, ErrNotNext) {
		t.Fatalf("took back what runs: %v", err)
	}
}

func TestScheduledEntriesComeDueInOrderOfTime(t *testing.T) {
	l := New[int]()
	late, soon := take(t, l, "late"), take(t, l, "soon")
	must(t, l.Schedule(late, t0.Add(2*time.Second)))
	must(t, l.Schedule(soon, t0.Add(time.Second)))
	if due, _ := l.NextDue(); !due.Equal(t0.Add(time.Second)) {
		t.Fatalf("next due is %s", due)
	}
	due := l.Due(t0.Add(time.Second))
	if len(due) != 1 || due[0] != soon {
		t.Fatalf("due are %v", due)
	}
	must(t, l.Reserve(soon))
}

func TestALostDeliveryIsNeverSettledAndMayComeBack(t *testing.T) {
	l := New[int]()
	e := take(t, l, "a")
	must(t, l.Reserve(e))
	must(t, l.Send(e, 7))
	if _, err := l.Begin(7, e.Seq); err != nil {
		t.Fatal(err)
	}
	l.Lose("a")
	again := take(t, l, "a")
	if again == e {
		t.Fatal("the old entry came back")
	}
	if _, err := l.End(7, e.Seq); err != nil {
		t.Fatal(err)
	}
	if err := l.Settle(e, broker.Ack); !errors.Is(err, ErrPlace) {
		t.Fatalf("settled a lost delivery: %v", err)
	}
	must(t, l.Drop(e))
	if l.ByTag("a") != again {
		t.Fatal("the new hold was forgotten with the old one")
	}
}

// TestRandomMovesKeepTheBook tries every move at random; the book refuses what it
// must, and its invariants hold after every step.
func TestRandomMovesKeepTheBook(t *testing.T) {
	for seed := int64(1); seed <= 200; seed++ {
		rnd := rand.New(rand.NewSource(seed))
		l := New[int]()
		var known []*Entry[int]
		for step := range 400 {
			known = randomMove(rnd, l, known, step)
			if err := check(l); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
	}
}

func randomMove(rnd *rand.Rand, l *Ledger[int], known []*Entry[int], step int) []*Entry[int] {
	child := Child(rnd.Intn(3) + 1)
	if len(known) == 0 || rnd.Intn(4) == 0 {
		if e, err := l.Take(broker.Delivery{Tag: broker.Tag(fmt.Sprint(rnd.Intn(40)))}); err == nil {
			e.Early = rnd.Intn(2) == 0
			known = append(known, e)
		}
	}
	if len(known) == 0 {
		return known
	}
	e := known[rnd.Intn(len(known))]
	now := t0.Add(time.Duration(step) * time.Second)
	switch rnd.Intn(15) {
	case 0:
		l.Reserve(e)
	case 1:
		l.Schedule(e, now.Add(time.Duration(rnd.Intn(9))*time.Second))
	case 2:
		l.Due(now)
	case 3:
		l.Accept(e, child)
	case 4:
		l.Accepted(e)
	case 5:
		l.Send(e, child)
	case 6:
		l.Begin(e.Child, e.Seq)
	case 7:
		l.End(e.Child, e.Seq)
	case 8:
		l.TakeBack(e.Child, []Seq{e.Seq})
	case 9:
		l.Bury(child)
	case 10:
		l.Settle(e, broker.Ack)
	case 11:
		l.Settled(e)
	case 12:
		l.Lose(e.Delivery.Tag)
	case 14:
		l.Surrender(child)
	case 13:
		if l.Report(e) != nil {
			l.Withdraw(e)
		}
	}
	return known
}

func BenchmarkTheWayOfADelivery(b *testing.B) {
	l := New[int]()
	b.ReportAllocs()
	for i := range b.N {
		e, _ := l.Take(broker.Delivery{Tag: broker.Tag(fmt.Sprint(i % 1000))})
		l.Reserve(e)
		l.Send(e, 1)
		l.Begin(1, e.Seq)
		l.End(1, e.Seq)
		l.Settle(e, broker.Ack)
		l.Settled(e)
	}
}
