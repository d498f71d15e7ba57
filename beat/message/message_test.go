package message

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const routeLine = `route {"exchange":"x","exchange_type":"topic","routing_key":"a.b","priority":3,"zone":"Europe/Berlin","wall":false}` + "\n"

// values with a winter's day in Berlin.
var values = Values{
	TaskID: "the-id", DeliveryTag: "the-tag",
	Now: time.Date(2026, 11, 24, 6, 57, 2, 123456789, time.UTC),
}

func mustParse(t testing.TB, text string) Blueprint {
	t.Helper()
	b, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFillPutsValuesIntoTheGapsOfAnEnvelopeAndTouchesNothingElse(t *testing.T) {
	b := mustParse(t, routeLine+
		`declare [{"queue":"q","exchange":"x","exchange_type":"topic","routing_key":"a.#","durable":true,"arguments":{"x-max-priority":10}}]`+"\n"+
		"envelope {\"id\": \"\x1aI\x1a\", \"root_id\": \"\x1aI\x1a\", \"eta\": \"\x1aM1500000\x1a\", \"tag\": \"\x1aT\x1a\", \"odd\": \"\\u001a I \\ud83d\"}\n")
	want := Message{
		Exchange: "x", ExchangeType: "topic", RoutingKey: "a.b", Priority: 3, TaskID: "the-id",
		Envelope: []byte(`{"id": "the-id", "root_id": "the-id", "eta": "2026-11-24T07:57:03.623456+01:00", "tag": "the-tag", "odd": "\u001a I \ud83d"}`),
		Declare: []Declaration{{
			Queue: "q", Exchange: "x", ExchangeType: "topic", RoutingKey: "a.#", Durable: true,
			Arguments: map[string]json.RawMessage{"x-max-priority": json.RawMessage("10")},
		}},
	}
	if diff := cmp.Diff(want, b.Fill(values)); diff != "" {
		t.Error(diff)
	}
	if got := b.Queues(); len(got) != 1 || got[0] != "q" {
		t.Errorf("queues %q", got)
	}
}

func TestABodyWithinAnEnvelopeIsFilledBeforeItIsEncoded(t *testing.T) {
	b := mustParse(t, routeLine+"envelope {\"body\": \"\x1aB\x1a\", \"id\": \"\x1aI\x1a\"}\ninner {\"id\": \"\x1aI\x1a\"}\n")
	want := `{"body": "` + base64.StdEncoding.EncodeToString([]byte(`{"id": "the-id"}`)) + `", "id": "the-id"}`
	if got := string(b.Fill(values).Envelope); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnAMQPMessageHasBodyHeadersAndProperties(t *testing.T) {
	for _, body := range []string{"body64 AAH/\n", "body {\"id\": \"\x1aI\x1a\"}\n", ""} {
		b := mustParse(t, routeLine+body+"headers {\"id\": \"\x1aI\x1a\"}\nproperties {\"correlation_id\": \"\x1aI\x1a\"}\n")
		m := b.Fill(values)
		want := map[string]string{"body64 AAH/\n": "\x00\x01\xff", "": ""}
		expected, ok := want[body]
		if !ok {
			expected = `{"id": "the-id"}`
		}
		if string(m.Body) != expected || string(m.Headers) != `{"id": "the-id"}` || string(m.Properties) != `{"correlation_id": "the-id"}` {
			t.Errorf("body %q, headers %s, properties %s", m.Body, m.Headers, m.Properties)
		}
	}
}

func TestWhatJSONWouldEscapeIsEscaped(t *testing.T) {
	b := mustParse(t, routeLine+"envelope {\"id\": \"\x1aI\x1a\"}\n")
	for _, id := range []string{`a"b`, `a\b`, "a\nb", "ä", "\x1a", "\xff", ""} {
		var got struct{ ID string }
		if err := json.Unmarshal(b.Fill(Values{TaskID: id}).Envelope, &got); err != nil {
			t.Errorf("%q: %v", id, err)
		} else if want := strings.ToValidUTF8(id, "�"); got.ID != want {
			t.Errorf("got %q, want %q", got.ID, want)
		}
	}
}

// testdata/moments.txt has been made with CPython.
func TestMomentsAreWrittenAsPythonWritesThem(t *testing.T) {
	file, err := os.Open("testdata/moments.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if words[0] == "#" {
			continue
		}
		b := mustParse(t, `route {"exchange":"","exchange_type":"direct","routing_key":"q","priority":0,"zone":"`+words[0]+
			`","wall":`+strconv.FormatBool(words[1] == "wall")+"}\nenvelope \x1aM"+words[3]+"\x1a\n")
		now, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b.Fill(Values{Now: time.UnixMicro(now)}).Envelope); got != words[4] {
			t.Errorf("%s: got %s", lines.Text(), got)
		}
	}
}

func TestWhatIsNotABlueprintIsRefused(t *testing.T) {
	envelope := "envelope {}\n"
	for name, text := range map[string]string{
		"nothing":                     "",
		"no route":                    envelope,
		"no message":                  routeLine,
		"a route that is no JSON":     "route {\n" + envelope,
		"a route with a stranger":     `route {"exchange":"","what":1}` + "\n" + envelope,
		"two values in a route":       `route {"exchange":""} {}` + "\n" + envelope,
		"no end of the line":          routeLine + "envelope {}",
		"an empty line":               routeLine + "envelope \n",
		"a stranger":                  routeLine + envelope + "what {}\n",
		"lines in another order":      envelope + routeLine,
		"a line twice":                routeLine + envelope + envelope,
		"declarations of another":     routeLine + `declare {"queue":"q"}` + "\n" + envelope,
		"an open mark":                routeLine + "envelope {\x1aI}\n",
		"an empty mark":               routeLine + "envelope {\x1a\x1a}\n",
		"an unknown mark":             routeLine + "envelope {\x1aQ\x1a}\n",
		"a mark with too much":        routeLine + "envelope {\x1aI1\x1a}\n",
		"a moment without a number":   routeLine + "envelope {\x1aM\x1a}\n",
		"a moment too far":            routeLine + "envelope {\x1aM9000000000000000000\x1a}\n",
		"an inner body without place": routeLine + envelope + "inner {}\n",
		"a place without inner body":  routeLine + "envelope \x1aB\x1a\n",
		"an inner body in itself":     routeLine + "envelope \x1aB\x1a\ninner \x1aB\x1a\n",
		"headers alone":               routeLine + "headers {}\n",
		"properties alone":            routeLine + "properties {}\n",
		"two bodies":                  routeLine + "body {}\nbody64 AAAA\nheaders {}\nproperties {}\n",
		"a body that is not base64":   routeLine + "body64 ???\nheaders {}\nproperties {}\n",
		"a moment in no zone": `route {"exchange":"","exchange_type":"","routing_key":"","priority":0,"zone":"No/Where","wall":false}` +
			"\nenvelope \x1aM1\x1a\n",
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAZoneThatIsNotKnownDoesNotMatterWithoutMoments(t *testing.T) {
	mustParse(t, `route {"exchange":"","exchange_type":"","routing_key":"","priority":0,"zone":"","wall":false}`+"\nenvelope \x1aI\x1a\n")
}

func FuzzBlueprint(f *testing.F) {
	f.Add(routeLine + "envelope {\"id\": \"\x1aI\x1a\", \"eta\": \"\x1aM-1500000\x1a\"}\n")
	f.Add(routeLine + "envelope \x1aB\x1a\x1aT\x1a\ninner {\"id\": \"\x1aI\x1a\"}\n")
	f.Add(routeLine + "declare []\nbody64 AAA=\nheaders {\"id\": \"\x1aI\x1a\"}\nproperties {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse(text)
		if err != nil {
			return
		}
		m := b.Fill(values)
		for _, part := range [][]byte{m.Envelope, m.Headers, m.Properties} {
			if bytes.IndexByte(part, sub) >= 0 {
				t.Errorf("a mark is left in %q", part)
			}
		}
	})
}

// typical is about what Celery makes of a task with an expiry.
var typical = routeLine +
	`declare [{"queue":"celery","exchange":"celery","exchange_type":"direct","routing_key":"celery","durable":true}]` + "\n" +
	`envelope {"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", ` +
	"\"headers\": {\"id\": \"\x1aI\x1a\", \"expires\": \"\x1aM60000000\x1a\", \"root_id\": \"\x1aI\x1a\", " + strings.Repeat(`"argsrepr": "[1, 2]", `, 30) +
	"\"properties\": {\"correlation_id\": \"\x1aI\x1a\", \"delivery_tag\": \"\x1aT\x1a\"}}\n"

func BenchmarkFill(b *testing.B) {
	blueprint := mustParse(b, typical)
	b.ReportAllocs()
	for b.Loop() {
		blueprint.Fill(values)
	}
}

func BenchmarkParse(b *testing.B) {
	var p Parser
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse(typical); err != nil {
			b.Fatal(err)
		}
	}
}
