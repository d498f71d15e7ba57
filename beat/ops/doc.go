// Package ops shows a running beat: probes, metrics and state.
//
// # Pages
//
//	/livez     503 when the process does not turn for 10 s, or when it leads, the broker
//	           answers, and a tick is overdue by more than a minute. Never for following,
//	           for a broker or an API server that is away: a restart mends neither.
//	/startupz  200 from the moment the app is loaded
//	/readyz    200 while it campaigns: leading or ready to
//	/metrics   Prometheus; defined once in definitions.go, from which
//	           docs/reference/beat-metrics.md is generated
//	/state     JSON: "leader": true or false, the term, the next and the last ticks
//
// All are read-only, and none waits for the broker, for Python or for the API server.
package ops
