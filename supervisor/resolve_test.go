package supervisor

import (
	"encoding/json"
	"testing"
	"time"

	"crisper/supervisor/agent"
)

func TestANumberThatIsWrittenAsTextCounts(t *testing.T) {
	w := worker{agent.Info{
		Worker: map[string]json.RawMessage{"max_tasks_per_child": []byte(`"10"`), "time_limit": []byte(`"1.5"`), "max_memory_per_child": []byte(`null`)},
		Conf:   map[string]json.RawMessage{"worker_eta_task_limit": []byte(`"7"`)},
	}}
	if w.number("max_tasks_per_child") != 10 || w.seconds("time_limit") != 1500*time.Millisecond || w.limit("worker_eta_task_limit") != 7 {
		t.Errorf("%d %s %d", w.number("max_tasks_per_child"), w.seconds("time_limit"), w.limit("worker_eta_task_limit"))
	}
	if n := w.number("max_memory_per_child") + w.number("not_there"); n != 0 {
		t.Errorf("%d where there is no number", n)
	}
}
