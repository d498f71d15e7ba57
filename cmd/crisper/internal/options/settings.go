package options

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Add defines the flags of rows.
func Add(flags *pflag.FlagSet, rows []Option) {
	aliases := map[string]string{}
	for _, row := range rows {
		flag := flags.VarPF(&text{}, row.Name, row.Short, row.Help)
		if row.Kind == Flag {
			flag.NoOptDefVal = "true"
		}
		for _, alias := range row.Aliases {
			aliases[alias] = row.Name
		}
	}
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if long, ok := aliases[name]; ok {
			name = long
		}
		return pflag.NormalizedName(name)
	})
}

// text is a flag's value as typed; Resolve reads it, so that all mistakes of a
// command line are told at once.
type text struct{ typed string }

func (t *text) String() string         { return t.typed }
func (t *text) Set(typed string) error { t.typed = typed; return nil }
func (t *text) Type() string           { return "text" }

// Setting is the value of one option, and where it came from.
type Setting struct {
	Option Option
	Text   string
	// Source is "command line", "environment NAME" or "default".
	Source string
	// Given: by the command line or the environment.
	Given bool
}

// Settings are all options by name, each checked.
type Settings map[string]Setting

// Resolve reads rows from the flags and the environment. The problems are those
// of single options: wrong values and refused ones.
func Resolve(flags *pflag.FlagSet, rows []Option, getenv func(string) string) (Settings, []error) {
	settings := Settings{}
	var problems []error
	for _, row := range rows {
		setting := resolve(flags, row, getenv)
		settings[row.Name] = setting
		if problem := setting.problem(); problem != nil {
			problems = append(problems, problem)
		}
	}
	return settings, problems
}

func resolve(flags *pflag.FlagSet, row Option, getenv func(string) string) Setting {
	if flag := flags.Lookup(row.Name); flag != nil && flag.Changed {
		return Setting{Option: row, Text: flag.Value.String(), Source: "command line", Given: true}
	}
	return unflagged(row, getenv)
}

// unflagged is what the environment says, or the default.
func unflagged(row Option, getenv func(string) string) Setting {
	for _, name := range row.Env {
		if value := getenv(name); value != "" {
			return Setting{Option: row, Text: anyMeansYes(name, value), Source: "environment " + name, Given: true}
		}
	}
	return Setting{Option: row, Text: row.Default, Source: "default"}
}

// anyMeansYes: two variables count whatever they are set to.
func anyMeansYes(name, value string) string {
	if name == "NO_COLOR" || name == "SKIP_CHECKS" {
		return "true"
	}
	return value
}

func (s Setting) problem() error {
	if !s.Given {
		return nil
	}
	if err := s.Option.check(s.Text); err != nil {
		return fmt.Errorf("%s must be %w, not %q", s.spelling(), err, s.Text)
	}
	if s.Option.Who == Refused && !(s.Option.Kind == Flag && !s.flag()) {
		return fmt.Errorf("%s is refused: %s", s.said(), s.Option.Note)
	}
	return nil
}

// spelling names the option as the user wrote it, as far as we know.
func (s Setting) spelling() string {
	if name, ok := strings.CutPrefix(s.Source, "environment "); ok {
		return name
	}
	return s.Option.Spelling()
}

// said is the option with its value, as the user wrote it: what a refusal is about.
func (s Setting) said() string {
	switch {
	case strings.HasPrefix(s.Source, "environment "):
		return s.spelling() + "=" + s.Text
	case s.Option.Kind == Flag:
		return s.spelling()
	}
	return s.spelling() + " " + s.Text
}

// Spelling is "-c/--concurrency".
func (o Option) Spelling() string {
	if o.Short == "" {
		return "--" + o.Name
	}
	return "-" + o.Short + "/--" + o.Name
}

// The readers below return the zero value for a text that Resolve complained
// about: nobody goes on with such settings.

func (s Setting) value() any {
	value, err := s.Option.read(s.Text)
	if err != nil {
		return nil
	}
	return value
}

func (s Setting) flag() bool              { v, _ := s.value().(bool); return v }
func (s Setting) count() int              { v, _ := s.value().(int); return v }
func (s Setting) fraction() float64       { v, _ := s.value().(float64); return v }
func (s Setting) bytes() int64            { v, _ := s.value().(int64); return v }
func (s Setting) duration() time.Duration { v, _ := s.value().(time.Duration); return v }
func (s Setting) list() []string          { v, _ := s.value().([]string); return v }

// On says whether a flag is set.
func (s Settings) On(name string) bool { return s[name].flag() }

// path is the text, and nothing for "off".
func (s Setting) path() string {
	if s.Text == "off" {
		return ""
	}
	return s.Text
}

// Prefer sets what was not given, for a command with defaults of its own.
func (s Settings) Prefer(name, text, source string) {
	if setting := s[name]; !setting.Given {
		setting.Text, setting.Source, setting.Given = text, source, true
		s[name] = setting
	}
}
