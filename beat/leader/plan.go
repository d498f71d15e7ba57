package leader

import (
	"fmt"
	"time"

	"crisper/beat/app"
	"crisper/beat/planner"
	"crisper/beat/schedule"
)

// mostMadeUp bounds what one entry makes up after a gap, for intervals of
// milliseconds.
const mostMadeUp = 10_000

// plan is what a term makes of the app's entries.
type plan struct {
	entries    map[string]*app.Entry // all that can run
	own, asked []planner.Entry
	invalid    map[string]string // why not, by name
	names      []string          // of all, also the invalid: their records stay
}

// makePlan divides the entries among the lanes.
func makePlan(entries []app.Entry, policy schedule.Policy) plan {
	p := plan{entries: make(map[string]*app.Entry, len(entries)), invalid: map[string]string{}}
	var parser schedule.Parser
	for i := range entries {
		e := &entries[i]
		p.names = append(p.names, e.Name)
		if e.Error != "" {
			p.invalid[e.Name] = e.Error
			continue
		}
		when, err := parser.Parse(e.Schedule)
		if err != nil {
			p.invalid[e.Name] = fmt.Sprintf("cannot use its schedule %s: %v", e.Text, err)
			continue
		}
		p.entries[e.Name] = e
		entry := planner.Entry{Name: e.Name, Schedule: when, Policy: policy}
		if e.Blueprint.IsZero() || entry.Asks() {
			p.asked = append(p.asked, entry)
		} else {
			p.own = append(p.own, entry)
		}
	}
	return p
}

// policyOf is what becomes of ticks that were not sent in time.
func policyOf(info app.Info, window time.Duration) schedule.Policy {
	p := schedule.Policy{Window: window, Max: mostMadeUp}
	if d := info.CronStartingDeadline; d != nil && *d > 0 {
		p.StartingDeadline = time.Duration(*d * float64(time.Second))
	}
	return p
}

// planning is the planner's configuration.
func planning(info app.Info) planner.Config {
	cfg := planner.Defaults()
	if info.MaxInterval > 0 {
		cfg.MaxInterval = time.Duration(info.MaxInterval * float64(time.Second))
	}
	return cfg
}

// Entries divides the entries of an app into what can be planned, with the schedules,
// and the names of those that cannot, with the reasons: for `beat preview`.
func Entries(entries []app.Entry) (usable []planner.Entry, invalid map[string]string) {
	p := makePlan(entries, schedule.Policy{})
	return append(p.own, p.asked...), p.invalid
}
