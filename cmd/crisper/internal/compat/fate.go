package compat

import (
	"encoding/json"
	"regexp"
	"strings"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/agent"
)

// Fate is what becomes of one option or setting that somebody gave.
type Fate struct {
	Name  string      `json:"name"`
	Value string      `json:"value"`
	From  string      `json:"from,omitempty"`
	Who   options.Who `json:"fate"`
	Why   string      `json:"why,omitempty"`
}

// Options tells of every option that was given.
func Options(s options.Settings, runtime string) []Fate {
	fates := []Fate{}
	for _, given := range options.Meant(s) {
		who, why := options.FateOf(given, runtime)
		if runtime != "celery" && (who == options.Crisper || who == options.Python || who == options.Both) {
			why = "" // what is done as asked for needs no words; the reference page has some
		}
		fates = append(fates, Fate{
			Name: "--" + given.Option.Name, Value: options.Redact(given.Text), From: given.Source, Who: who, Why: why,
		})
	}
	return fates
}

// Changed tells of every setting of the app that differs from Celery's default.
func Changed(info agent.Info, runtime string) []Fate {
	fates := []Fate{}
	for _, name := range info.Changed {
		fate := Fate{Name: name, Value: show(name, info.Conf[name]), Who: options.Python, Why: "Celery's own worker reads it"}
		if runtime == "native" {
			fate.Who, fate.Why = options.Later, "not known to this program"
			if row, ok := setting(name); ok {
				fate.Who, fate.Why = row.Who, row.Note
			}
		}
		fates = append(fates, fate)
	}
	return fates
}

// hidden are names whose values nobody should read over a shoulder. Celery hides
// such settings from `inspect conf`, too (app/utils.py, HIDDEN_SETTINGS).
var hidden = regexp.MustCompile(`(?i)pass|secret|token|credential|api_?key|access_key|signature|private`)

// widest is where a value is cut: a schedule can be long.
const widest = 80

// show is a setting's value without what is secret in it.
func show(name string, value json.RawMessage) string {
	var decoded any
	if err := json.Unmarshal(value, &decoded); err != nil {
		return "?"
	}
	text, ok := conceal(name, decoded).(string)
	if !ok {
		var encoded strings.Builder
		encoder := json.NewEncoder(&encoded)
		encoder.SetEscapeHTML(false) // queues read <Queue …>
		if err := encoder.Encode(conceal(name, decoded)); err != nil {
			return "?"
		}
		text = strings.TrimSuffix(encoded.String(), "\n")
	}
	if runes := []rune(text); len(runes) > widest {
		text = string(runes[:widest]) + "…"
	}
	return text
}

// conceal replaces secrets by stars, at any depth.
func conceal(name string, value any) any {
	if hidden.MatchString(name) && value != nil {
		return "**"
	}
	switch v := value.(type) {
	case string:
		return options.Redact(v)
	case []any:
		for i := range v {
			v[i] = conceal("", v[i])
		}
	case map[string]any:
		if repr, ok := v["__opaque__"].(string); ok && len(v) == 1 {
			return options.Redact(repr)
		}
		for key := range v {
			v[key] = conceal(key, v[key])
		}
	}
	return value
}
