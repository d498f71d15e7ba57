// Package logs makes the logger: lines like Celery's for people, JSON for
// machines.
package logs

import (
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Options says how to log.
type Options struct {
	// Format is auto, console or json. auto is console on a terminal.
	Format string
	// Level is Python's number (10 debug … 50 critical).
	Level    int
	Terminal bool
	Color    bool
}

// New makes a logger that writes to out. It is safe for many goroutines.
func New(out io.Writer, opts Options) *zap.Logger {
	encoder := zapcore.NewJSONEncoder(jsonConfig())
	if opts.Format == "console" || opts.Format == "auto" && opts.Terminal {
		encoder = newConsole(opts.Color)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level(opts.Level))
	return zap.New(core)
}

// level maps Python's numbers. CRITICAL has no equal; DPanic is what stands
// between an error and the end of the process.
func level(python int) zapcore.Level {
	switch {
	case python <= 10:
		return zapcore.DebugLevel
	case python <= 20:
		return zapcore.InfoLevel
	case python <= 30:
		return zapcore.WarnLevel
	case python <= 40:
		return zapcore.ErrorLevel
	}
	return zapcore.DPanicLevel
}

func jsonConfig() zapcore.EncoderConfig {
	return zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "message", StacktraceKey: "stack",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    func(l zapcore.Level, out zapcore.PrimitiveArrayEncoder) { out.AppendString(levelName(l)) },
		EncodeDuration: zapcore.SecondsDurationEncoder,
	}
}

// levelName is Python's word.
func levelName(l zapcore.Level) string {
	switch l {
	case zapcore.WarnLevel:
		return "WARNING"
	case zapcore.DPanicLevel, zapcore.PanicLevel, zapcore.FatalLevel:
		return "CRITICAL"
	}
	return l.CapitalString()
}

// OpenFile opens a log file for appending; Python's processes append to the same.
func OpenFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the log file: %w", err)
	}
	return file, nil
}

// timeLayout is that of Python's logging.
const timeLayout = "2006-01-02 15:04:05,000"

func stamp(at time.Time) string { return at.Format(timeLayout) }
