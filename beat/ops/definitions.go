package ops

import (
	"fmt"
	"io"
	"strings"
)

// definition is a metric as people read about it.
type definition struct {
	name, kind string
	labels     []string
	help       string
	buckets    []float64
}

// The metrics, in the order of the reference page. Labels are closed lists.
var (
	defBuild    = definition{"crisper_build_info", "gauge", []string{"version"}, "Always 1; the version of the binary.", nil}
	defLeader   = definition{"crisper_beat_leader", "gauge", nil, "1 while this replica leads.", nil}
	defTerm     = definition{"crisper_beat_term", "gauge", nil, "The fencing token of this replica's term; 0 while it does not lead.", nil}
	defTerms    = definition{"crisper_beat_terms_total", "counter", nil, "Terms that this process has begun.", nil}
	defTicks    = definition{"crisper_beat_ticks_total", "counter", []string{"outcome"}, "Ticks that were settled: published, already (another leader or an earlier try had sent it), unroutable (no queue takes it).", nil}
	defLateness = definition{"crisper_beat_lateness_seconds", "histogram", nil, "From the due moment of a tick to the broker's answer, of those published.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}}
	defCaughtUp = definition{"crisper_beat_caught_up_total", "counter", nil, "Published ticks that were late by more than a second: made up after a change of leaders or an outage.", nil}
	defSkipped  = definition{"crisper_beat_missed_total", "counter", []string{"reason"}, "Due moments that were not sent: gap (longer than the catch-up window; made up by one tick), limit (more than one entry may make up), deadline (older than beat_cron_starting_deadline).", nil}
	defUnmade   = definition{"crisper_beat_messages_not_made_total", "counter", nil, "Ticks whose message the app could not make.", nil}
	defErrors   = definition{"crisper_beat_publish_errors_total", "counter", nil, "Requests to the broker or the store that were not answered, and are repeated.", nil}
	defBroker   = definition{"crisper_beat_broker_connected", "gauge", nil, "1 while the broker answers the leader.", nil}
)

func definitions() []definition {
	return []definition{defBuild, defLeader, defTerm, defTerms, defTicks, defLateness, defCaughtUp, defSkipped, defUnmade, defErrors, defBroker}
}

// WriteReference writes docs/reference/beat-metrics.md.
func WriteReference(w io.Writer) error {
	var page strings.Builder
	page.WriteString(referenceHead)
	for _, d := range definitions() {
		labels := "—"
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "`, `") + "`"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", d.name, d.kind, labels, d.help)
	}
	_, err := io.WriteString(w, page.String())
	return err
}

const referenceHead = `# Metrics of crisper beat

<!-- Generated from beat/ops/definitions.go by "go generate ./cmd/crisper"; a test fails when this page is stale. -->

Served at ` + "`/metrics`" + ` of the address given with ` + "`--http`" + ` (default ` + "`:9811`" + `), in Prometheus' text format, with the
collectors of the Go runtime (` + "`go_*`" + `) and of the process (` + "`process_*`" + `) beside them. No label names an entry, a pod or an id.
Exactly one replica should have ` + "`crisper_beat_leader`" + ` 1: alert on ` + "`sum(crisper_beat_leader) != 1`" + ` for a minute.

| name | kind | labels | what it counts |
| --- | --- | --- | --- |
`
