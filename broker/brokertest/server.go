package brokertest

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"crisper/broker"
)

// Server is a broker as its users see it from outside.
type Server interface {
	// Publish appends a message to a queue, as a Celery producer does.
	Publish(t testing.TB, queue string, priority int, payload []byte)
	// Waiting lists what waits in a queue, the next to be taken first.
	Waiting(t testing.TB, queue string) [][]byte
	// Parked lists the dead letters, the newest first.
	Parked(t testing.TB) [][]byte
	// Connect makes a consumer that does not run yet.
	Connect(t testing.TB, workerID string, queues ...string) broker.Consumer
}

// Harness is what Exercise needs of a broker.
type Harness struct {
	// New makes an empty broker that ends with the test.
	New func(t *testing.T) Server
	// Presence is how long after its last sign of life a worker is taken for dead.
	Presence time.Duration
	// Missing names subtests that cannot pass, each with the reason.
	Missing map[string]string
}

// Payload is an envelope as kombu writes it, with a header that nobody knows and
// spacing that no JSON writer of ours would produce.
func Payload(tag string, priority int) []byte {
	body := base64.StdEncoding.EncodeToString([]byte(`[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`))
	return fmt.Appendf(nil, `{"body": "%s", "content-encoding": "utf-8", "content-type": "application/json", `+
		`"headers": {"lang": "py", "task": "proj.add", "id": "id-%s", "retries": 0,  "x-unknown": {"deep": [1, 2.50, "\u00e4"]}}, `+
		`"properties": {"correlation_id": "id-%s", "reply_to": "r", "delivery_mode": 2, `+
		`"delivery_info": {"exchange": "", "routing_key": "q"}, "priority": %d, "body_encoding": "base64", "delivery_tag": "%s"}}`,
		body, tag, tag, priority, tag)
}
