package app

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crisper/supervisor/wire"
)

// soon bounds waits for a process that is to be ended at once.
const soon = 20 * time.Second

// impostor is a timekeeper that says something else: a shell script in the place of
// Python, with the frames that it is to send in a file.
func impostor(t *testing.T, after string, frames ...[]byte) Options {
	t.Helper()
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	if err := os.WriteFile(said, []byte(strings.Join(asStrings(frames), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(dir, "python")
	if err := os.WriteFile(python, []byte("#!/bin/sh\ncat "+said+" >&3\n"+after+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Options{Python: python, App: "proj"}
}

func asStrings(frames [][]byte) (texts []string) {
	for _, f := range frames {
		texts = append(texts, string(f))
	}
	return texts
}

func frame(kind wire.Kind, payload string) []byte {
	return wire.AppendFrame(nil, kind, 0, []byte(payload))
}

// parts are texts, a length before each.
func parts(texts ...string) string {
	var b []byte
	for _, text := range texts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return string(b)
}

func TestAFrameThatMakesNoSenseEndsTheProcessAndNotUs(t *testing.T) {
	loaded := frame(wire.Loaded, "{}")
	for name, frames := range map[string][][]byte{
		"noise":                          {[]byte("junk that is no frame at all")},
		"a length beyond the limit":      {[]byte("\xff\xff\xff\xffC12345678")},
		"an unknown kind":                {frame('?', "{}")},
		"no JSON":                        {frame(wire.Loaded, "{")},
		"a failure that is none":         {frame(wire.Failed, "[]")},
		"entries that are cut off":       {loaded, frame(kindEntries, "\x00\x00")},
		"entries beyond their frame":     {loaded, frame(kindEntries, "\x00\x00\x00\xffx")},
		"entries without a blueprint":    {loaded, frame(kindEntries, parts(`{"name":"a"}`))},
		"entries that are no JSON":       {loaded, frame(kindEntries, parts(`{`, ``))},
		"entries before it is loaded":    {frame(kindEntries, "")},
		"an answer that is cut off":      {loaded, frame(wire.Answer, "\x00")},
		"an answer that is no JSON":      {loaded, frame(wire.Answer, parts("{"))},
		"nothing, and then it is silent": {loaded, []byte("\x00\x00")},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			after := "exec sleep 60"
			if strings.HasPrefix(name, "nothing") {
				after = "exit 7"
			}
			a, err := Start(ctx, impostor(t, after, frames...))
			if err == nil {
				a.Close()
				t.Fatal("it is believed")
			}
			if ctx.Err() != nil {
				t.Fatalf("it was not ended: %v", err)
			}
		})
	}
}

func TestABlueprintThatCannotBeUsedIsAskedFor(t *testing.T) {
	a, err := Start(t.Context(), impostor(t, "exec sleep 60", frame(wire.Loaded, `{"pid": 7}`),
		frame(kindEntries, parts(`{"name":"a"}`, "nonsense", `{"name":"b","ask":"why"}`, "")), frame(kindEntries, "")))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	entries := a.Entries()
	if len(entries) != 2 || entries[0].Ask == "" || !entries[0].Blueprint.IsZero() || entries[1].Ask != "why" {
		t.Errorf("got %+v", entries)
	}
	if a.Info().Pid != 7 {
		t.Errorf("info %+v", a.Info())
	}
}

func TestCallsEndWithTheTimekeeper(t *testing.T) {
	a, err := Start(t.Context(), impostor(t, "exec sleep 60", frame(wire.Loaded, "{}"), frame(kindEntries, "")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := a.Ask(ctx, "a", time.Now()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call beyond its time: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := a.Announce(context.Background())
		waiting <- err
	}()
	a.kill()
	if err := <-waiting; !errors.Is(err, ErrGone) {
		t.Errorf("a call that waits: %v", err)
	}
	<-a.Done()
	if _, err := a.Render(t.Context(), "a", "id", time.Now()); !errors.Is(err, ErrGone) {
		t.Errorf("a call afterwards: %v", err)
	}
	a.Close()
}

func TestALateAnswerHarmsNobody(t *testing.T) {
	a := &App{calls: map[uint64]chan<- answer{}}
	answers := make(chan answer, 1)
	seq, err := a.expect(answers)
	if err != nil {
		t.Fatal(err)
	}
	a.forget(seq)
	if err := a.onAnswer(wire.Frame{Kind: wire.Answer, Seq: seq, Payload: []byte(parts("{}"))}); err != nil {
		t.Error(err)
	}
}

func TestLoadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, impostor(t, "exec sleep 60")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAFailedLoadIsTyped(t *testing.T) {
	_, err := Start(t.Context(), impostor(t, "exit 4", frame(wire.Failed, `{"error": "no luck", "traceback": "long"}`)))
	var failed *LoadError
	if !errors.As(err, &failed) || failed.Reason != "no luck" || failed.Traceback != "long" {
		t.Errorf("got %v", err)
	}
}

func TestPasswordsDoNotTravelInArgumentsOrTheEnvironment(t *testing.T) {
	options, err := json.Marshal(Options{App: "proj", Broker: "redis://:secret@h/0", Env: []string{"A=b"}, Python: "python"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(options), `{"app":"proj","broker":"redis://:secret@h/0"}`; got != want {
		t.Errorf("the socket gets %s, want %s", got, want)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(byte(kindEntries), []byte(parts(`{"name":"a"}`, "")))
	f.Add(byte(wire.Answer), []byte(parts(`{"error":"no"}`)))
	f.Add(byte(wire.Loaded), []byte(`{"conf":{}}`))
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		a := &App{calls: map[uint64]chan<- answer{}, opened: make(chan error, 1)}
		_ = a.onFrame(wire.Frame{Kind: wire.Kind(kind), Payload: payload})
	})
}

// BenchmarkEntries is what 100 000 entries cost on our side, less the pipe.
func BenchmarkEntries(b *testing.B) {
	payload := []byte(parts(`{"name":"entry","task":"proj.add","text":"<freq: 30.00 seconds>","options":{"expires":60},`+
		`"schedule":{"kind":"interval","seconds":30.0,"relative":false,"tz":"UTC"},"ask":""}`,
		`route {"exchange":"","exchange_type":"direct","routing_key":"celery","priority":0,"zone":"UTC","wall":false}`+"\n"+
			`declare [{"queue":"celery","exchange":"celery","exchange_type":"direct","routing_key":"celery"}]`+"\n"+
			"envelope {\"id\": \"\x1aI\x1a\", \"expires\": \"\x1aM60000000\x1a\""+strings.Repeat(`, "argsrepr": "[1, 2]"`, 40)+"}\n"))
	a := &App{}
	b.ReportAllocs()
	for b.Loop() {
		a.reading.pages = nil
		if err := a.onEntries(payload); err != nil {
			b.Fatal(err)
		}
	}
}
