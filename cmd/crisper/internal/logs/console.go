package logs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// console writes Celery's default format, so that eyes and scripts that are used
// to it go on working, with the fields behind:
//
//	[2026-11-24 03:41:46,123: INFO/MainProcess] child ready slot=3 pid=812
//
// A field with several lines, such as a traceback, follows on lines of its own. A
// text that the message has already is not repeated: machines read JSON.
type console struct {
	*zapcore.MapObjectEncoder // fields given by With
	color                     bool
}

var buffers = buffer.NewPool()

func newConsole(color bool) zapcore.Encoder {
	return console{zapcore.NewMapObjectEncoder(), color}
}

func (c console) Clone() zapcore.Encoder {
	clone := zapcore.NewMapObjectEncoder()
	maps.Copy(clone.Fields, c.Fields)
	return console{clone, c.color}
}

func (c console) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line := buffers.Get()
	process := entry.LoggerName
	if process == "" {
		process = "MainProcess"
	}
	start, end := c.colors(entry.Level)
	fmt.Fprintf(line, "[%s: %s/%s] %s%s%s", stamp(entry.Time), levelName(entry.Level), process, start, entry.Message, end)

	var below []string
	write := func(key string, value any) {
		text := render(value)
		if _, isText := value.(string); isText && len(text) > 2 && strings.Contains(entry.Message, text) {
			return
		}
		if strings.Contains(text, "\n") {
			below = append(below, strings.TrimRight(text, "\n"))
			return
		}
		line.AppendString(" " + key + "=" + quoted(text))
	}
	for _, key := range slices.Sorted(maps.Keys(c.Fields)) {
		write(key, c.Fields[key])
	}
	for _, field := range fields {
		one := zapcore.NewMapObjectEncoder()
		field.AddTo(one)
		for _, key := range slices.Sorted(maps.Keys(one.Fields)) {
			write(key, one.Fields[key])
		}
	}
	if entry.Stack != "" {
		below = append(below, entry.Stack)
	}
	for _, text := range below {
		line.AppendString("\n" + text)
	}
	line.AppendByte('\n')
	return line, nil
}

func render(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case time.Duration:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	return fmt.Sprint(value)
}

func quoted(text string) string {
	if text == "" || strings.ContainsAny(text, " \t\"=") || strings.IndexFunc(text, isControl) >= 0 {
		return strconv.Quote(text)
	}
	return text
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// colors are those of Celery's terminal log.
func (c console) colors(level zapcore.Level) (start, end string) {
	if !c.color {
		return "", ""
	}
	switch {
	case level == zapcore.DebugLevel:
		return "\x1b[1;34m", "\x1b[0m"
	case level == zapcore.WarnLevel:
		return "\x1b[1;33m", "\x1b[0m"
	case level == zapcore.ErrorLevel:
		return "\x1b[1;31m", "\x1b[0m"
	case level > zapcore.ErrorLevel:
		return "\x1b[1;35m", "\x1b[0m"
	}
	return "", ""
}
