//go:build integration

package amqpbroker

import (
	"encoding/json"
	"strings"
	"testing"

	"crisper/broker/amqpbroker/servertest"
)

// A message of ours and one of kombu's with the same content are taken by kombu;
// both declare the same queue.
func TestKombuCannotTellOurMessagesFromItsOwn(t *testing.T) {
	s := servertest.RabbitMQ(t)
	headers := `{"task": "größe", "retries": 0, "timelimit": [null, 1.5], "eta": null, "big": 3000000000, "on": true, "deep": {"list": [1, "a", {"x": []}]}}`
	stdin := []byte(`{"body": "[[], {}, {}]", "headers": ` + headers + `}`)
	props := `{"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2, "priority": 3, "correlation_id": "id", "reply_to": "reply", "expiration": "60000"}`
	raw := func(object string) (m map[string]json.RawMessage) {
		if err := json.Unmarshal([]byte(object), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	d := declaration("cmp", "cmp", "topic", "cmp.#")
	d.Arguments = raw(`{"x-max-priority": 9, "x-queue-mode": "lazy"}`)
	for _, python := range []string{"CRISPER_TEST_PYTHON", "CRISPER_TEST_PYTHON_OLD"} {
		t.Run(python, func(t *testing.T) {
			servertest.Python(t, python, "testdata/compare.py", stdin, "send", "amqp://"+s.Addr())
			m, err := Publishing([]byte("[[], {}, {}]"), json.RawMessage(headers), json.RawMessage(props))
			if err != nil {
				t.Fatal(err)
			}
			p := connect(t, s.Addr(), nil)
			same(t, "fates", fates(t, p, Message{Exchange: "cmp", RoutingKey: "cmp.a", Publishing: m, Declare: []Declaration{d}}), Confirmed)
			out := servertest.Python(t, python, "testdata/compare.py", stdin, "get", "amqp://"+s.Addr())
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if len(lines) != 2 || lines[0] != lines[1] {
				t.Errorf("kombu's and ours:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}
