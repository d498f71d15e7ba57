// Package ops serves health, readiness, metrics, the dashboard's JSON and the
// live state of every slot, and takes the few requests that may change a
// running supervisor.
//
// # Two doors
//
//	Server   TCP, --http      read only: /livez /readyz /startupz /metrics /state
//	Admin    Unix socket 0600 the same user or root only: GET /state, POST /drain, POST /reload
//
// The HTTP door is open to whoever reaches the pod, so nothing behind it changes
// anything and nothing it shows is secret. Control needs the socket.
//
// # Authority
//
// The supervisor's loop is right about everything; this package only reads what
// the loop has published. Probes are answered from Health, a snapshot behind an
// atomic pointer: they never wait for the loop, for Python or for a broker, so a
// wedged loop is reported instead of making its own probe hang. /state asks the
// loop and gives up after a moment.
//
// # Probes
//
//	/livez     503 when the loop has not turned for 10 s, or when there is work,
//	           room and a connection and yet nothing was started for --stuck-after
//	           (60 s). Never because of the broker or of draining: restarting the
//	           pod mends neither.
//	/startupz  200 from the moment the pool was ready for the first time.
//	/readyz    200 when started, connected and not draining.
//
// Each answers with one line of text that says why. Celery: `inspect ping` is
// answered by the consumer whatever the pool does, and costs a second of CPU.
//
// # Metrics
//
// Every metric is defined once, in the table of definitions.go. The metrics, the
// reference page and the test that compares the two come from that table.
//
// # What it deliberately does not do
//
// No authentication on the HTTP door, no TLS, no writes; no labels that name a
// pod, a host, a pid or a task id (the scraper adds the pod; ids never end).
package ops
