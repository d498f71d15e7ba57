package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// line logs once and returns what was written, with a fixed time.
func line(t *testing.T, color bool, entry zapcore.Entry, context, fields []zap.Field) string {
	t.Helper()
	encoder := newConsole(color)
	for _, field := range context {
		field.AddTo(encoder)
	}
	entry.Time = time.Date(2026, 11, 24, 3, 41, 46, 123e6, time.UTC)
	buf, err := encoder.EncodeEntry(entry, fields)
	if err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestConsoleLinesLookLikeCelerys(t *testing.T) {
	const head = "[2026-11-24 03:41:46,123: "
	for _, test := range []struct {
		name            string
		entry           zapcore.Entry
		color           bool
		context, fields []zap.Field
		want            string
	}{
		{name: "plain", entry: zapcore.Entry{Level: zap.InfoLevel, Message: "ready"}, want: head + "INFO/MainProcess] ready\n"},
		{name: "fields in their order", entry: zapcore.Entry{Level: zap.WarnLevel, Message: "child gone"},
			fields: []zap.Field{zap.Int("slot", 3), zap.Duration("after", time.Second), zap.Float64("age", 1.5), zap.Bool("ok", false)},
			want:   head + "WARNING/MainProcess] child gone slot=3 after=1s age=1.5 ok=false\n"},
		{name: "text that needs quotes", entry: zapcore.Entry{Level: zap.ErrorLevel, Message: "m"},
			fields: []zap.Field{zap.String("why", "exit status 3"), zap.String("none", ""), zap.String("bell", "\a")},
			want:   head + `ERROR/MainProcess] m why="exit status 3" none="" bell="\a"` + "\n"},
		{name: "a traceback goes below", entry: zapcore.Entry{Level: zapcore.DPanicLevel, Message: "m"},
			fields: []zap.Field{zap.String("traceback", "Traceback:\n  x\n"), zap.Int("n", 1)},
			want:   head + "CRITICAL/MainProcess] m n=1\nTraceback:\n  x\n"},
		{name: "context and name", entry: zapcore.Entry{Level: zap.DebugLevel, Message: "m", LoggerName: "broker"},
			context: []zap.Field{zap.String("queue", "q")}, fields: []zap.Field{zap.Error(errors.New("no"))},
			want: head + "DEBUG/broker] m queue=q error=no\n"},
		{name: "what the message says already", entry: zapcore.Entry{Level: zap.InfoLevel, Message: "Task a.b[1-2] received"},
			fields: []zap.Field{zap.String("task", "a.b"), zap.String("task_id", "1-2"), zap.String("queue", "q"), zap.Int("n", 1)},
			want:   head + "INFO/MainProcess] Task a.b[1-2] received queue=q n=1\n"},
		{name: "colour", entry: zapcore.Entry{Level: zap.ErrorLevel, Message: "m"}, color: true, want: head + "ERROR/MainProcess] \x1b[1;31mm\x1b[0m\n"},
		{name: "info has no colour", entry: zapcore.Entry{Level: zap.InfoLevel, Message: "m"}, color: true, want: head + "INFO/MainProcess] m\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := line(t, test.color, test.entry, test.context, test.fields); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestContextOfOneLoggerDoesNotReachAnother(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, Options{Format: "console", Level: 20})
	log.With(zap.Int("slot", 1)).Info("a")
	log.Info("b")
	if lines := strings.Split(out.String(), "\n"); !strings.HasSuffix(lines[0], "a slot=1") || !strings.HasSuffix(lines[1], "] b") {
		t.Errorf("%q", lines)
	}
}

func TestTheFormatFollowsTheTerminal(t *testing.T) {
	for _, test := range []struct {
		format   string
		terminal bool
		json     bool
	}{{"auto", true, false}, {"auto", false, true}, {"json", true, true}, {"console", false, false}} {
		var out bytes.Buffer
		New(&out, Options{Format: test.format, Terminal: test.terminal, Level: 20}).Info("hello", zap.Int("slot", 2))
		var fields map[string]any
		isJSON := json.Unmarshal(out.Bytes(), &fields) == nil
		if isJSON != test.json {
			t.Errorf("%s, terminal %v: %q", test.format, test.terminal, out.String())
		}
		if isJSON && (fields["level"] != "INFO" || fields["message"] != "hello" || fields["slot"] != 2.0 || fields["time"] == nil) {
			t.Errorf("JSON line %v", fields)
		}
	}
}

func TestLevelsArePythons(t *testing.T) {
	for python, want := range map[int]string{10: "DIWEC", 20: "IWEC", 30: "WEC", 40: "EC", 50: "C"} {
		var out bytes.Buffer
		log := New(&out, Options{Format: "console", Level: python})
		log.Debug("D")
		log.Info("I")
		log.Warn("W")
		log.Error("E")
		log.DPanic("C")
		got := regexp.MustCompile(`(?m)^.*\] |\n`).ReplaceAllString(out.String(), "")
		if got != want {
			t.Errorf("level %d shows %q, want %q", python, got, want)
		}
	}
}

func TestALogFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	for range 2 {
		file, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		New(file, Options{Format: "console", Level: 20}).Info("hello")
		if info, err := file.Stat(); err != nil || info.Size() == 0 {
			t.Errorf("%v", err)
		}
		_ = file.Close()
	}
	if _, err := OpenFile(filepath.Join(path, "y")); err == nil || !strings.Contains(err.Error(), "cannot open the log file") {
		t.Errorf("%v", err)
	}
}

func BenchmarkConsole(b *testing.B) {
	encoder := newConsole(false)
	fields := []zap.Field{zap.String("task", "proj.add"), zap.String("id", "a-b-c"), zap.Int("slot", 3)}
	b.ReportAllocs()
	for b.Loop() {
		buf, _ := encoder.EncodeEntry(zapcore.Entry{Level: zap.InfoLevel, Message: "received", Time: time.Unix(1, 0)}, fields)
		buf.Free()
	}
}
