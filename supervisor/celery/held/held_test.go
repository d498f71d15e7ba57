package held

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crisper/broker"
)

// forever is later than every time in these tests.
const forever = 1e12

// told is a hand that was told facts in words: a kind, a time, and the fields.
func told(t *testing.T, facts ...string) *Hand {
	t.Helper()
	h := &Hand{}
	for _, fact := range facts {
		tell(t, h, fact)
	}
	return h
}

func tell(t *testing.T, h *Hand, fact string) {
	t.Helper()
	words := strings.Split(fact, " ")
	at, err := strconv.ParseFloat(words[1], 64)
	if err == nil {
		_, err = h.Read(one(words[0][0], at, words[2:]...))
	}
	if err != nil {
		t.Fatal(fact, err)
	}
}

func tags(held []broker.Held) (all []broker.Tag) {
	for _, h := range held {
		all = append(all, h.Tag)
	}
	return all
}

func TestDeliveriesAreKeptInTheOrderOfTakingUntilTheyAreSettled(t *testing.T) {
	h := told(t, "t 1 z", "k 1.5 z", "t 2 a", "k 2.5 a", "t 3 m", "s 4 a", "s 4 never heard of")
	want := []broker.Held{{Tag: "z", Low: 1, High: 1.5}, {Tag: "m", Low: 3, High: 3 + quick}}
	if diff := cmp.Diff(want, h.Deliveries(forever)); diff != "" {
		t.Error(diff)
	}
	if got := tags(h.Deliveries(3)); !cmp.Equal(got, []broker.Tag{"z"}) {
		t.Errorf("before 3: %q", got)
	}
}

func TestADeliveryWhoseAcknowledgmentWasLostIsDoneWhenItsTaskHasEnded(t *testing.T) {
	h := told(t,
		"t 1 early", "a 1 early 1 proj.early ", "e 2 1",
		"t 3 late", "a 3 late 2 proj.late late", "e 4 2",
		"t 5 anew", "a 5 anew 3 proj.early ", "t 6 anew", "e 7 3", // restored by somebody, and taken once more
		"t 8 runs", "a 8 runs 4 proj.early ")
	want := []broker.Held{{Tag: "early", Low: 1, High: 1 + quick, Done: true}, {Tag: "late", Low: 3, High: 3 + quick}, {Tag: "anew", Low: 6, High: 6 + quick}, {Tag: "runs", Low: 8, High: 8 + quick, Died: true}}
	if diff := cmp.Diff(want, h.Deliveries(forever)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:3], h.Forgotten(h.Taken())); diff != "" {
		t.Error(diff)
	}
}

func TestARenewedDeliveryIsKnownByItsNewScore(t *testing.T) {
	h := told(t, "t 1 a", "k 1.5 a", "t 2 b", "t 3 c", "t 3 d")
	asked := h.Deliveries(forever)
	tell(t, h, "t 9 d") // taken anew while the answer was on its way
	lost := h.Renewed(asked, []float64{50, -1, 0, 51})
	if !cmp.Equal(lost, []broker.Tag{"b"}) {
		t.Errorf("lost %q", lost)
	}
	want := []broker.Held{{Tag: "a", Low: 50, High: 50}, {Tag: "c", Low: 3, High: 3 + quick}, {Tag: "d", Low: 9, High: 9 + quick}}
	if diff := cmp.Diff(want, h.Deliveries(forever)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsGoneWithAWorkerIsWhatRanAndWasAcknowledged(t *testing.T) {
	h := told(t,
		"t 1 early", "a 1 early 1 proj.early ", "s 1 early",
		"t 2 unacknowledged", "a 2 unacknowledged 2 proj.early ",
		"t 3 late", "a 3 late 3 proj.late late",
		"t 4 ended", "a 4 ended 4 proj.early ", "s 4 ended", "e 5 4",
		"a 6 7 5 proj.rabbit ", "a 6  6 proj.unknown ", "t 7 reserved")
	held := h.Deliveries(forever)
	if diff := cmp.Diff([]broker.Held{{Tag: "unacknowledged", Low: 2, High: 2 + quick, Died: true}, {Tag: "late", Low: 3, High: 3 + quick, Died: true}, {Tag: "reserved", Low: 7, High: 7 + quick}}, held); diff != "" {
		t.Error(diff)
	}
	if h.TaskOf("late").ID != "3" || h.TaskOf("7").Name != "proj.rabbit" {
		t.Error("a delivery's task is not found")
	}
	var gone []string
	for _, task := range h.GoneFor(held) {
		gone = append(gone, task.ID)
	}
	if !cmp.Equal(gone, []string{"1", "5", "6"}) {
		t.Errorf("gone: %q", gone)
	}
	if again := h.Gone([]broker.Returned{{Tag: "unacknowledged"}, {Tag: "late"}}); again != nil {
		t.Errorf("gone again, or in spite of having gone back: %v", again)
	}
	if not := h.Gone([]broker.Returned{{Tag: "late"}}); len(not) != 1 || not[0].ID != "2" {
		t.Errorf("gone because its delivery was not there any more: %v", not)
	}
}

func TestTheMessageOfATaskIsKeptWhileItRuns(t *testing.T) {
	h := told(t, "a 1 tag id proj.early ")
	read := func(records ...[]byte) {
		t.Helper()
		for _, r := range records {
			if _, err := h.Read(r); err != nil {
				t.Fatal(err)
			}
			clear(r) // what was read is somebody else's memory
		}
	}
	read(part("of nobody", "lost", 0), part("id", "one ", 1))
	if h.Early() || h.TaskOf("tag").Message != nil {
		t.Error("half a message was taken for a whole one")
	}
	read(part("id", "message", 0), part("id", "another", 0))
	if got := string(h.TaskOf("tag").Message); got != "one message" || !h.Early() {
		t.Errorf("got %q", got)
	}
	tell(t, h, "e 2 id")
	if h.Early() || h.kept != 0 {
		t.Errorf("%d bytes are kept of a task that has ended", h.kept)
	}
}

func TestAMessageThatThereIsNoRoomForIsNotThereAndItsTaskIs(t *testing.T) {
	h := &Hand{}
	half := strings.Repeat("x", 60_000)
	for n := range mostKept/len(half) + 1 {
		id := strconv.Itoa(n)
		tell(t, h, "a 1 "+id+" "+id+" proj.early ")
		for more := range byte(2) {
			if _, err := h.Read(part(id, half, 1-more)); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole := 0
	for _, task := range h.tasks {
		if task.Message != nil {
			whole++
		}
		if n := len(task.Message) + len(task.parts); n != 0 && n != 2*len(half) {
			t.Errorf("%d bytes of a message are kept", n)
		}
	}
	if h.kept > mostKept || whole*2*len(half) != h.kept {
		t.Errorf("%d messages and %d bytes are kept, of %d tasks", whole, h.kept, len(h.tasks))
	}
	tell(t, h, "a 2 0 0 proj.early ") // begun again, under its old name
	if h.kept != (whole-1)*2*len(half) {
		t.Errorf("%d bytes are kept", h.kept)
	}
	if gone := h.Gone(nil); len(gone) != mostKept/len(half)+1 || h.kept != 0 {
		t.Errorf("%d tasks are gone, and %d bytes are kept", len(gone), h.kept)
	}
}
