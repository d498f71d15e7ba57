package held

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"crisper/broker"
)

// forever is later than every time in these tests.
const forever = 1e12

func told(t *testing.T, lines ...string) *Hand {
	t.Helper()
	h := &Hand{}
	for _, line := range lines {
		if _, err := h.Line([]byte(line)); err != nil {
			t.Fatal(line, err)
		}
	}
	return h
}

func tags(held []broker.Held) (all []broker.Tag) {
	for _, h := range held {
		all = append(all, h.Tag)
	}
	return all
}

func TestDeliveriesAreKeptInTheOrderOfTakingUntilTheyAreSettled(t *testing.T) {
	h := told(t, `["t",1,"z"]`, `["k",1.5,"z"]`, `["t",2,"a"]`, `["k",2.5,"a"]`, `["t",3,"m"]`, `["s",4,"a"]`, `["s",4,"never heard of"]`)
	want := []broker.Held{{Tag: "z", Low: 1, High: 1.5}, {Tag: "m", Low: 3}}
	if diff := cmp.Diff(want, h.Deliveries(forever)); diff != "" {
		t.Error(diff)
	}
	if got := tags(h.Deliveries(3)); !cmp.Equal(got, []broker.Tag{"z"}) {
		t.Errorf("before 3: %q", got)
	}
}

func TestARenewedDeliveryIsKnownByItsNewScore(t *testing.T) {
	h := told(t, `["t",1,"a"]`, `["k",1.5,"a"]`, `["t",2,"b"]`, `["t",3,"c"]`, `["t",3,"d"]`)
	asked := h.Deliveries(forever)
	if _, err := h.Line([]byte(`["t",9,"d"]`)); err != nil { // taken anew while the answer was on its way
		t.Fatal(err)
	}
	lost := h.Renewed(asked, []float64{50, -1, 0, 51})
	if !cmp.Equal(lost, []broker.Tag{"b"}) {
		t.Errorf("lost %q", lost)
	}
	want := []broker.Held{{Tag: "a", Low: 50, High: 50}, {Tag: "c", Low: 3}, {Tag: "d", Low: 9}}
	if diff := cmp.Diff(want, h.Deliveries(forever)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsGoneWithAWorkerIsWhatRanAndWasAcknowledged(t *testing.T) {
	h := told(t,
		`["t",1,"early"]`, `["a",1,"early","1","proj.early",0]`, `["s",1,"early"]`,
		`["t",2,"unacknowledged"]`, `["a",2,"unacknowledged","2","proj.early",0]`,
		`["t",3,"late"]`, `["a",3,"late","3","proj.late",1]`,
		`["t",4,"ended"]`, `["a",4,"ended","4","proj.early",0]`, `["s",4,"ended"]`, `["e",5,"4"]`,
		`["a",6,7,"5","proj.rabbit",0]`, `["a",6,null,"6","proj.unknown",0]`, `["t",7,"reserved"]`)
	held := h.Deliveries(forever)
	if diff := cmp.Diff([]broker.Held{{Tag: "unacknowledged", Low: 2, Died: true}, {Tag: "late", Low: 3, Died: true}, {Tag: "reserved", Low: 7}}, held); diff != "" {
		t.Error(diff)
	}
	var gone []string
	for _, task := range h.Gone([]broker.Returned{{Tag: "unacknowledged"}, {Tag: "late"}, {Tag: "reserved"}}) {
		gone = append(gone, task.ID)
	}
	if !cmp.Equal(gone, []string{"1", "5", "6"}) {
		t.Errorf("gone: %q", gone)
	}
	if h.TaskOf("late").ID != "3" || h.TaskOf("7").Name != "proj.rabbit" {
		t.Error("a delivery's task is not found")
	}
}

func TestNonsenseIsAnErrorAndChangesNothing(t *testing.T) {
	h := told(t, `["t",1,"a"]`)
	for _, line := range []string{``, `{}`, `[]`, `["t"]`, `["t",1]`, `["x",1,"a"]`, `["s","now","a"]`, `["a",1,"a","id"]`, `["e",1,2]`} {
		if _, err := h.Line([]byte(line)); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
	if h.Len() != 1 {
		t.Error("something has changed")
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`["a",1,"tag","id","name",0]`))
	f.Add([]byte(`["t",1e400,7]`))
	f.Fuzz(func(_ *testing.T, line []byte) {
		h := &Hand{}
		_, _ = h.Line(line)
		h.Renewed(h.Deliveries(forever), []float64{1})
		h.Gone(nil)
	})
}
