//go:build integration && linux

package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"crisper/beat/message"
	"crisper/integration/harness"
)

// stockMessage is what a real `celery beat` put into a real Redis.
type stockMessage struct {
	key  string // list, or channel
	text string
}

// TestMessagesAreByteForByteThoseOfCeleryBeat compares each kind of entry with what
// a real `celery beat` sent: equal but for the id, the tag, who sent it, and when.
func TestMessagesAreByteForByteThoseOfCeleryBeat(t *testing.T) {
	variants := map[string][]string{
		"utc":         nil,
		"zone":        {"SHAPES_ZONE=America/St_Johns"},
		"protocol 1":  {"SHAPES_PROTOCOL=1", "SHAPES_ZONE=Europe/Berlin"},
		"bodies raw":  {"SHAPES_RAW=1"},
		"protocol 1r": {"SHAPES_PROTOCOL=1", "SHAPES_RAW=1"},
	}
	for name, env := range variants {
		t.Run(name, func(t *testing.T) {
			eachPython(t, func(t *testing.T, python string) { compareShapes(t, python, env) })
		})
	}
}

func compareShapes(t *testing.T, python string, env []string) {
	bed := harness.NewWith(t, harness.Options{Python: python})
	redis, err := bed.StartRedis(deadline(t), harness.RedisOptions{})
	harness.Must(t, err)
	env = append(env, "SHAPES_BROKER="+redis.URL(0))
	a, _ := load(t, Options{Python: python, App: "shapes"}, env...)
	if needs := a.Info().Needs; len(needs) > 0 {
		t.Errorf("it needs %q", needs)
	}
	stock := runStock(t, bed, redis, python, env, len(a.Entries()))
	hidden := slices.Contains(env, "SHAPES_PROTOCOL=1")
	for _, e := range a.Entries() {
		t.Run(e.Name, func(t *testing.T) {
			switch {
			case e.Name == "celery.backend_cleanup": // at four in the morning
			case hidden && (e.Name == "pickled" || e.Name == "compressed"):
				// Protocol 1 has the id in the body, and there it cannot be filled in.
				if e.Ask == "" {
					t.Error("there is a blueprint of a body that cannot be filled in")
				}
			default:
				compareShape(t, a, e, stock)
			}
		})
	}
}

// askedShapes differ each time: the expiration property is counted from now.
var askedShapes = map[string]bool{"expires_then": true}

func compareShape(t *testing.T, a *App, e Entry, stock map[string]stockMessage) {
	theirs, ok := stock[e.Task]
	if !ok {
		if e.Error == "" {
			t.Fatalf("celery beat sent nothing, and we would (ask %q)", e.Ask)
		}
		return
	}
	if e.Error != "" {
		t.Fatalf("celery beat sent a message, we do not: %s", e.Error)
	}
	rendered, err := a.Render(deadline(t), e.Name, "7d3b7cbc-0000-4000-8000-000000000001", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	compareText(t, "rendered", mask(t, string(rendered.Envelope), true), mask(t, theirs.text, true))
	compareKey(t, rendered, theirs.key)
	if askedShapes[e.Name] {
		if e.Ask == "" {
			t.Error("there is a blueprint of a message that differs each time")
		}
		return
	}
	if e.Ask != "" {
		t.Fatalf("there is no blueprint: %s", e.Ask)
	}
	filled := fillAt(t, e.Blueprint, theirs.text)
	compareText(t, "filled", mask(t, string(filled.Envelope), false), mask(t, theirs.text, false))
	compareKey(t, filled, theirs.key)
}

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d`)

// fillAt fills the blueprint as of the moment at which the stock message was made,
// which its first moving moment tells.
func fillAt(t *testing.T, b message.Blueprint, theirs string) message.Message {
	t.Helper()
	v := message.Values{TaskID: "7d3b7cbc-0000-4000-8000-000000000001", DeliveryTag: "7d3b7cbc-0000-4000-8000-000000000002", Now: time.Now()}
	ours := moment.FindAllString(decoded(t, string(b.Fill(v).Envelope)), -1)
	others := moment.FindAllString(decoded(t, theirs), -1)
	for i := range min(len(ours), len(others)) {
		us, them := parseMoment(t, ours[i]), parseMoment(t, others[i])
		if d := them.Sub(us); d != 0 {
			if d.Abs() > time.Minute {
				t.Fatalf("moments are %s apart: %s and %s", d, ours[i], others[i])
			}
			v.Now = v.Now.Truncate(time.Microsecond).Add(d)
			break
		}
	}
	return b.Fill(v)
}

func parseMoment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var (
	base64Body = regexp.MustCompile(`("body": ")([A-Za-z0-9+/=]*)(")`)
	someID     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	origin     = regexp.MustCompile(`gen\d+@[^"\\]+`)
	expiration = regexp.MustCompile(`"expiration": "\d+"`)
)

// decoded shows the body of an envelope in it: protocol 1 has ids and moments there.
func decoded(t *testing.T, envelope string) string {
	t.Helper()
	if !strings.Contains(envelope, `"body_encoding": "base64"`) {
		return envelope
	}
	return base64Body.ReplaceAllStringFunc(envelope, func(found string) string {
		parts := base64Body.FindStringSubmatch(found)
		body, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			t.Fatalf("the body is not base64: %v", err)
		}
		return parts[1] + string(body) + parts[3]
	})
}

// mask hides ids and origins, and moments where they may differ.
func mask(t *testing.T, envelope string, moments bool) string {
	t.Helper()
	text := origin.ReplaceAllString(someID.ReplaceAllString(decoded(t, envelope), "ID"), "ORIGIN")
	if moments {
		text = expiration.ReplaceAllString(moment.ReplaceAllString(text, "MOMENT"), "EXPIRATION")
	}
	return text
}

func compareText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s differs\n got  %q\n want %q", what, got, want)
	}
}

// compareKey: the list of an anonymous exchange is the routing key with its priority.
func compareKey(t *testing.T, m message.Message, key string) {
	t.Helper()
	name, step, _ := strings.Cut(key, "\x06\x16")
	if m.Exchange == "" && m.RoutingKey != name {
		t.Errorf("goes to %q, celery beat's to %q", m.RoutingKey, name)
	}
	want := ""
	for _, s := range []struct {
		from int
		step string
	}{{0, ""}, {3, "3"}, {6, "6"}, {9, "9"}} {
		if m.Priority >= s.from {
			want = s.step
		}
	}
	if m.ExchangeType != "fanout" && step != want {
		t.Errorf("priority %d, celery beat's is in step %q", m.Priority, step)
	}
}

// runStock runs celery beat until it has sent a message of each of so many tasks, or
// has gone round twice.
func runStock(t *testing.T, bed *harness.Bed, redis *harness.Redis, python string, env []string, count int) map[string]stockMessage {
	t.Helper()
	ctx := deadline(t)
	listener := redis.Client.PSubscribe(ctx, "*")
	defer listener.Close()
	if _, err := listener.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	published := listener.Channel()
	p, err := bed.Start(harness.Command{
		Name: "stock beat", Dir: apps(t), Env: append(env, "PYTHONDONTWRITEBYTECODE=1"),
		Args: []string{python, "-m", "celery", "-A", "shapes", "beat", "-s", bed.Path("schedule"), "-l", "DEBUG"},
	})
	harness.Must(t, err)
	// Refusals count as well: entries that Celery cannot send say so.
	until(t, "celery beat to go round", func() bool { return strings.Count(p.LogText(), "Scheduler: Sending due task bare ") >= 3 })
	p.End()
	found := map[string]stockMessage{}
	collectLists(t, ctx, redis, found)
	for found["shapes.to_all"].text == "" {
		select {
		case m := <-published:
			keep(t, found, m.Channel, m.Payload)
		case <-ctx.Done():
			t.Fatal("celery beat published nothing to the fanout exchange")
		}
	}
	if len(found) < count-3 {
		t.Fatalf("celery beat sent %d of %d", len(found), count)
	}
	return found
}

func collectLists(t *testing.T, ctx context.Context, redis *harness.Redis, found map[string]stockMessage) {
	t.Helper()
	keys, err := redis.Client.Keys(ctx, "*").Result()
	harness.Must(t, err)
	for _, key := range keys {
		if kind := redis.Client.Type(ctx, key).Val(); kind != "list" {
			continue
		}
		texts, err := redis.Client.LRange(ctx, key, 0, -1).Result()
		harness.Must(t, err)
		for _, text := range texts {
			keep(t, found, key, text)
		}
	}
}

func keep(t *testing.T, found map[string]stockMessage, key, text string) {
	t.Helper()
	var m struct {
		Headers struct{ Task string }
		Body    json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	task := m.Headers.Task
	if task == "" { // protocol 1
		task = regexp.MustCompile(`shapes\.\w+`).FindString(decoded(t, text))
	}
	found[task] = stockMessage{key: key, text: text}
}
