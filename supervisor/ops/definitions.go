package ops

import (
	"fmt"
	"io"
	"strings"
)

type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// definition is a metric as people read about it.
type definition struct {
	name    string
	kind    kind
	labels  []string
	help    string
	buckets []float64
}

// The metrics, in the order of the reference page. A label's values are a closed
// list, a queue or a task name; never a host, a pid or an id.
var (
	defBuild = definition{"crisper_build_info", gauge, []string{"version"},
		"Always 1; the version of the binary.", nil}

	defReceived = definition{"crisper_tasks_received_total", counter, []string{"task", "queue"},
		"Tasks taken from the broker.", nil}
	defFinished = definition{"crisper_tasks_finished_total", counter, []string{"task", "outcome"},
		"Tasks that ended, by outcome: succeeded, failed, retried, rejected, ignored, revoked, expired, lost (its child died), timed_out, parked.", nil}
	defRuntime = definition{"crisper_task_runtime_seconds", histogram, []string{"task"},
		"How long tasks ran in their child.",
		[]float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600}}
	defParked = definition{"crisper_tasks_parked_total", counter, []string{"task"},
		"Messages put into the dead-letter list because they kept killing children (--poison-limit).", nil}

	defDeliveries = definition{"crisper_deliveries", gauge, []string{"place"},
		"Deliveries in hand: reserved (waiting for a slot), scheduled (waiting for its ETA), queued (in a child's socket), active (running), settling (waiting for the broker to confirm).", nil}
	defTakes = definition{"crisper_takes_total", counter, nil,
		"Requests for messages that the broker answered, empty ones included.", nil}
	defTaken = definition{"crisper_deliveries_taken_total", counter, nil,
		"Deliveries that the broker handed to us.", nil}
	defTakeSeconds = definition{"crisper_take_duration_seconds", histogram, nil,
		"How long the broker took to answer a request for messages.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2.5}}
	defSettled = definition{"crisper_deliveries_settled_total", counter, []string{"verb"},
		"Deliveries that the broker confirmed as settled: ack, reject, requeue, restore, park; gone when it was no longer ours.", nil}
	defRestored = definition{"crisper_deliveries_restored_total", counter, nil,
		"Deliveries of dead peers that this worker put back into their queues.", nil}

	defSlots = definition{"crisper_slots", gauge, []string{"state"},
		"Slots by the state of their child: empty, starting, ready, busy, draining, killing, backoff.", nil}
	defTransitions = definition{"crisper_slot_transitions_total", counter, []string{"from", "to", "reason"},
		"Changes of a slot's state and the reason: max_tasks, max_memory, max_age, crashed, oom, hard_limit, ...", nil}
	defZygotes = definition{"crisper_zygotes_started_total", counter, nil,
		"Generations of the preloaded process from which children are forked.", nil}
	defReloadsFailed = definition{"crisper_reloads_failed_total", counter, nil,
		"Times that the app was loaded again and could not take over: it did not load, or needs another runtime by now.", nil}
	defChildMemory = definition{"crisper_children_memory_bytes", gauge, nil,
		"Private memory of all children together.", nil}
	defChildMemoryMax = definition{"crisper_child_memory_max_bytes", gauge, nil,
		"Private memory of the fattest child.", nil}
	defCgroup = definition{"crisper_cgroup_memory_bytes", gauge, nil,
		"Memory of the pod's cgroup as the guard sees it.", nil}
	defCgroupLimit = definition{"crisper_cgroup_memory_limit_bytes", gauge, nil,
		"Memory limit of the pod's cgroup; 0: none.", nil}

	defConnected = definition{"crisper_broker_connected", gauge, nil,
		"1 while there is a connection to the broker.", nil}
	defReconnects = definition{"crisper_broker_reconnects_total", counter, nil,
		"Connections that were lost or could not be made.", nil}
	defQueueReady = definition{"crisper_queue_ready_messages", gauge, []string{"queue"},
		"Messages waiting in a consumed queue, all priorities. No series while the broker cannot be asked.", nil}
	defQueueUnacked = definition{"crisper_queue_unacked_messages", gauge, []string{"queue"},
		"Messages of a consumed queue that some worker took and has not settled, and that are due.", nil}
	defQueueScheduled = definition{"crisper_queue_scheduled_messages", gauge, []string{"queue"},
		"Messages of a consumed queue that some worker holds until their ETA.", nil}
	defQueueOldest = definition{"crisper_queue_oldest_message_age_seconds", gauge, []string{"queue"},
		"Age of the oldest ready message; 0 when there is none or the broker does not know.", nil}

	defLoop = definition{"crisper_loop_latency_seconds", histogram, nil,
		"How long one turn of the supervisor's loop took.",
		[]float64{.00001, .0001, .001, .005, .025, .1, .5, 1, 5}}
)

func definitions() []definition {
	return []definition{
		defBuild,
		defReceived, defFinished, defRuntime, defParked,
		defDeliveries, defTakes, defTaken, defTakeSeconds, defSettled, defRestored,
		defSlots, defTransitions, defZygotes, defReloadsFailed, defChildMemory, defChildMemoryMax, defCgroup, defCgroupLimit,
		defConnected, defReconnects, defQueueReady, defQueueUnacked, defQueueScheduled, defQueueOldest,
		defLoop,
	}
}

// WriteReference writes docs/reference/metrics.md.
func WriteReference(w io.Writer) error {
	var page strings.Builder
	page.WriteString(referenceHead)
	for _, d := range definitions() {
		labels := "—"
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "`, `") + "`"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", d.name, d.kind, labels, strings.ReplaceAll(d.help, "|", "\\|"))
	}
	page.WriteString(referenceTail)
	_, err := io.WriteString(w, page.String())
	return err
}

var referenceHead = `# Metrics

<!-- Generated from supervisor/ops/definitions.go by "go generate ./cmd/crisper"; a test fails when this page is stale. -->

Served at ` + "`/metrics`" + ` of the address given with ` + "`--http`" + ` (default ` + "`:9810`" + `), in Prometheus' text format.
Base units; counters end in ` + "`_total`" + `. No label names a pod, a host, a process or a task id: the scraper adds the pod.
Scraping asks nobody: the figures are those that the supervisor last published.

| name | kind | labels | what it counts |
| --- | --- | --- | --- |
`

var referenceTail = fmt.Sprintf(`
The label `+"`task`"+` takes at most %d values, then `+"`%s`"+` stands for all further names; the same holds for `+"`queue`"+`. A histogram
has the series `+"`_bucket`, `_sum` and `_count`"+`. The collectors of the Go runtime (`+"`go_*`"+`) and of the process (`+"`process_*`"+`, of the
supervisor alone) stand beside them.
`, maxNames, otherName)
