package wire

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"crisper/broker/celerymsg"
)

var rewrite = flag.Bool("rewrite", false, "write the golden frames anew")

// golden is one entry of testdata/golden.json. The bytes of the frame are in
// testdata/<name>.hex. Exactly the member of the frame's own kind is set.
type golden struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind"`
	Seq     uint64          `json:"seq"`
	Task    *goldenTask     `json:"task,omitempty"`
	Large   *goldenLarge    `json:"large,omitempty"`
	Done    *goldenDone     `json:"done,omitempty"`
	Request *goldenRequest  `json:"request,omitempty"`
	JSON    json.RawMessage `json:"json,omitempty"`
}

type goldenTask struct {
	Request         json.RawMessage `json:"request"`
	ContentType     string          `json:"content_type"`
	ContentEncoding string          `json:"content_encoding"`
	BodyHex         string          `json:"body_hex"`
}

type goldenLarge struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
}

type goldenDone struct {
	Outcome   Outcome `json:"outcome"`
	Runtime   float64 `json:"runtime"`
	Exception string  `json:"exception"`
	Traceback string  `json:"traceback"`
	Result    string  `json:"result"`
}

type goldenRequest struct {
	Op   json.RawMessage `json:"op"`
	Task *goldenTask     `json:"task,omitempty"`
}

var goldenMessage = celerymsg.Message{
	Headers:         []byte(`{"task": "proj.add", "id": "7f0c", "retries": 0, "argsrepr": "(1, 'ü')"}`),
	Properties:      []byte(`{"correlation_id": "7f0c", "reply_to": "b3", "priority": 3, "delivery_info": {"exchange": "", "routing_key": "celery"}}`),
	Body:            []byte(`[[1, "ü"], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`),
	ContentType:     "application/json",
	ContentEncoding: "utf-8",
}

// goldenFrames are the frames as this side writes them.
func goldenFrames() map[string][]byte {
	pickled := goldenMessage
	pickled.Body, pickled.ContentType, pickled.ContentEncoding = []byte{0x80, 0x04, 0x95, 0xff, 0x00}, "application/x-python-serialize", "binary"
	empty := celerymsg.Message{}
	failed := Report{Outcome: Failure, Runtime: 1500 * time.Millisecond, Exception: "ValueError('ß')", Traceback: "Traceback …\nValueError: ß", Result: ""}
	return map[string][]byte{
		"task":          AppendTask(nil, 1, &goldenMessage, "celery@host"),
		"task-binary":   AppendTask(nil, 1<<40+2, &pickled, `cel"ery\@host`),
		"task-empty":    AppendTask(nil, 3, &empty, ""),
		"large":         AppendLarge(nil, 4, Task, "/proc/1/fd/17"),
		"exit":          AppendFrame(nil, Exit, 0, nil),
		"hello":         AppendFrame(nil, Hello, 0, []byte(`{"child": 12, "pid": 345}`)),
		"begun":         AppendFrame(nil, Begun, 1, nil),
		"done":          AppendDone(nil, 1, Report{Outcome: Success, Runtime: 250 * time.Microsecond}),
		"done-result":   AppendDone(nil, 2, Report{Outcome: Success, Runtime: time.Second, Result: "'grün'"}),
		"done-failed":   AppendDone(nil, 3, failed),
		"request":       AppendRequest(nil, 5, []byte(`{"op": "timeout", "limit": 10.5}`), &goldenMessage, "celery@host"),
		"request-alone": AppendRequest(nil, 6, []byte(`{"op": "signal", "name": "worker_ready"}`), nil, ""),
		"answer":        AppendFrame(nil, Answer, 5, []byte(`{"verb": "ack", "events": [{"type": "task-failed"}]}`)),
		"options":       AppendFrame(nil, Options, 0, []byte(`{"app": "proj", "broker": "redis://localhost"}`)),
		"fork":          AppendFrame(nil, Fork, 0, []byte(`{"child": 12, "role": "executor", "slot": 0, "generation": 1, "index": 1, "results": false, "oom_score_adj": 0}`)),
		"loaded":        AppendFrame(nil, Loaded, 0, []byte(`{"python": "3.11.7", "celery": "5.7.0"}`)),
		"forked":        AppendFrame(nil, Forked, 0, []byte(`{"child": 12, "pid": 345}`)),
		"failed":        AppendFrame(nil, Failed, 0, []byte(`{"child": 0, "error": "No module named 'proj'", "traceback": "Traceback …"}`)),
		"notice":        AppendFrame(nil, Notice, 0, []byte(`{"level": "warning", "message": "2 threads"}`)),
	}
}

func TestGoldenFramesAreWhatWeWrite(t *testing.T) {
	frames := goldenFrames()
	if *rewrite {
		writeGolden(t, frames)
	}
	entries := readGolden(t)
	if len(entries) != len(frames) {
		t.Fatalf("golden.json has %d frames, there are %d (-rewrite writes it anew)", len(entries), len(frames))
	}
	for _, g := range entries {
		if got, want := frames[g.Name], goldenBytes(t, g.Name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: written as\n%x\nwant\n%x", g.Name, got, want)
		}
	}
}

func TestGoldenFramesMeanWhatTheirIndexSays(t *testing.T) {
	for _, want := range readGolden(t) {
		f, rest, err := Parse(goldenBytes(t, want.Name))
		if err != nil || len(rest) != 0 {
			t.Errorf("%s: %v, %d bytes more", want.Name, err, len(rest))
			continue
		}
		got, err := json.Marshal(describe(t, want.Name, f))
		if err != nil {
			t.Fatal(err)
		}
		wantJSON, _ := json.Marshal(want)
		if string(got) != string(wantJSON) {
			t.Errorf("%s: means\n%s\nwant\n%s", want.Name, got, wantJSON)
		}
	}
}

// describe decodes a frame with this side's readers.
func describe(t *testing.T, name string, f Frame) golden {
	t.Helper()
	g := golden{Name: name, Kind: string(rune(f.Kind)), Seq: f.Seq}
	switch f.Kind {
	case Task:
		g.Task = describeTask(t, f.Payload)
	case Large:
		g.Large = &goldenLarge{Kind: string(rune(f.Payload[0])), Path: string(f.Payload[1:])}
	case Done:
		r, err := ParseDone(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		g.Done = &goldenDone{r.Outcome, r.Runtime.Seconds(), r.Exception, r.Traceback, r.Result}
	case Request:
		n := binary.BigEndian.Uint32(f.Payload)
		g.Request = &goldenRequest{Op: f.Payload[4 : 4+n]}
		if task := f.Payload[4+n:]; len(task) > 0 {
			g.Request.Task = describeTask(t, task)
		}
	case Exit, Begun:
	default:
		g.JSON = f.Payload
	}
	return g
}

func describeTask(t *testing.T, payload []byte) *goldenTask {
	t.Helper()
	request, ct, ce, body, err := ParseTask(payload)
	if err != nil {
		t.Fatal(err)
	}
	return &goldenTask{Request: request, ContentType: ct, ContentEncoding: ce, BodyHex: hex.EncodeToString(body)}
}

func writeGolden(t *testing.T, frames map[string][]byte) {
	t.Helper()
	var entries []golden
	for name, b := range frames {
		f, _, err := Parse(b)
		if err != nil {
			t.Fatal(name, err)
		}
		entries = append(entries, describe(t, name, f))
		if err := os.WriteFile(filepath.Join("testdata", name+".hex"), []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sortGolden(entries)
	index, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/golden.json", append(index, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func sortGolden(entries []golden) {
	for i := range entries {
		for j := i; j > 0 && entries[j].Name < entries[j-1].Name; j-- {
			entries[j], entries[j-1] = entries[j-1], entries[j]
		}
	}
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	index, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var entries []golden
	if err := json.Unmarshal(index, &entries); err != nil {
		t.Fatal(err)
	}
	return entries
}

func goldenBytes(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(name, err)
	}
	return b
}
