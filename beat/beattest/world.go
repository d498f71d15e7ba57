package beattest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"crisper/beat"
	"crisper/beat/message"
)

// World is a broker with the store of its schedule's records. Each call of Connect
// is another replica.
type World interface {
	Connect(t testing.TB) beat.Publisher
	// Sent lists the task ids of the messages that wait in a queue, in the order of
	// sending.
	Sent(t testing.TB, queue string) []string
}

// Breakable worlds have faults. Each method returns what undoes it.
type Breakable interface {
	// LoseAnswers: requests are carried out, answers do not come.
	LoseAnswers(t testing.TB) (heal func())
	// Cut: the broker cannot be reached.
	Cut(t testing.TB) (heal func())
	// HalfOpen: connections stand, and no byte passes.
	HalfOpen(t testing.TB) (heal func())
}

// Harness is what Exercise needs.
type Harness struct {
	// New makes an empty world that ends with the test.
	New func(t *testing.T) World
	// Doubles says why a tick whose answer was lost may be sent a second time, with the
	// same task id; empty where it may not.
	Doubles string
	// Races says why a tick may be sent twice, with the same task id, when two that
	// believe they lead send it in the same moment; empty where it may not.
	Races string
	// Missing names subtests that cannot pass, each with the reason.
	Missing map[string]string
	// CallTimeout is how long a call of these publishers lasts at most.
	CallTimeout time.Duration
}

// Start is a moment to begin with; any would do.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// At is the nth second after Start.
func At(n int) time.Time { return Start.Add(time.Duration(n) * time.Second) }

// TaskID is the id of a tick's task in the suite.
func TaskID(entry string, due time.Time) string {
	return fmt.Sprintf("%s@%d", entry, due.UnixMicro())
}

// Tick is a publication to a queue of that name, by its own direct exchange for
// AMQP and by the anonymous one for Redis, as Celery does with its default queue.
func Tick(queue, entry string, n int) beat.Publication {
	p := beat.Publication{Tick: beat.Tick{Entry: entry, Due: At(n), Count: int64(n)}}
	p.Message = Message(TaskID(entry, p.Tick.Due), "", "direct", queue)
	p.Message.Declare = []message.Declaration{Declaration(queue, queue, "direct", queue)}
	return p
}

// Ticks are the ticks from the first to the last second of an entry.
func Ticks(queue, entry string, first, last int) (batch []beat.Publication) {
	for n := first; n <= last; n++ {
		batch = append(batch, Tick(queue, entry, n))
	}
	return batch
}

// Declaration is a durable queue, bound.
func Declaration(queue, exchange, exchangeType, routingKey string) message.Declaration {
	return message.Declaration{Queue: queue, Exchange: exchange, ExchangeType: exchangeType, RoutingKey: routingKey, Durable: true, ExchangeDurable: true}
}

// Message is what Celery would send for a task without arguments.
func Message(taskID, exchange, exchangeType, routingKey string) message.Message {
	text := func(s string) string {
		quoted, _ := json.Marshal(s) // a string always has a JSON form
		return string(quoted)
	}
	body := []byte(`[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`)
	headers := fmt.Sprintf(`{"lang": "py", "task": "proj.tick", "id": %s, "retries": 0, "celery_beat_task": true}`, text(taskID))
	properties := fmt.Sprintf(`{"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2, "priority": 0, "correlation_id": %s}`, text(taskID))
	envelope := fmt.Sprintf(`{"body": "%s", "content-encoding": "utf-8", "content-type": "application/json", "headers": %s, `+
		`"properties": {"correlation_id": %[3]s, "delivery_mode": 2, "delivery_info": {"exchange": %[4]s, "routing_key": %[5]s}, "priority": 0, `+
		`"body_encoding": "base64", "delivery_tag": %[3]s}}`,
		base64.StdEncoding.EncodeToString(body), headers, text(taskID), text(exchange), text(routingKey))
	return message.Message{
		Exchange: exchange, ExchangeType: exchangeType, RoutingKey: routingKey, TaskID: taskID,
		Envelope: []byte(envelope), Body: body, Headers: json.RawMessage(headers), Properties: json.RawMessage(properties),
	}
}
