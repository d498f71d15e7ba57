package compat

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/agent"
)

// Verdict is what is done with an app.
type Verdict struct {
	Runtime string // native or celery
	// Reasons say why that one, a clause each.
	Reasons []string
	// Refused says why the worker does not start at all; nil: it does.
	Refused error
	// Warnings are sentences for the log.
	Warnings []string
}

// nothingNeeded is the reason for the native runtime when it was left to us.
const nothingNeeded = "the app needs nothing that only Celery's own worker has"

// Judge decides from the command line and from what the app says.
func Judge(s options.Settings, info agent.Info, getenv func(string) string) Verdict {
	v := Verdict{}
	needs := needs(info)
	if v.Runtime, v.Reasons = options.Decided(s); v.Runtime == "" {
		v.Runtime, v.Reasons = "native", []string{nothingNeeded}
		if len(needs) > 0 {
			v.Runtime, v.Reasons = "celery", needs
		}
	}
	problems := options.ForRuntime(s, v.Runtime, v.Reasons)
	if v.Runtime == "native" {
		if len(needs) > 0 {
			problems = append(problems, fmt.Errorf("cannot run this app natively: %s (--runtime=auto or celery runs it)", strings.Join(needs, "; ")))
		}
		v.Warnings = append(warnings(info), FromEnvironment(getenv)...)
		problems = append(problems, refusals(info)...)
	}
	v.Refused = errors.Join(problems...)
	return v
}

// needs are what only Celery's own worker has: what Python found, and the settings
// of the table that it did not mention.
func needs(info agent.Info) []string {
	all := slices.Clone(info.Needs)
	for _, row := range changed(info, options.Elsewhere) {
		told := slices.ContainsFunc(info.Needs, func(need string) bool { return strings.HasPrefix(need, row.Name+" ") })
		if !told {
			all = append(all, row.Name+" is "+show(row.Name, info.Conf[row.Name]))
		}
	}
	return all
}

// changed are the rows of one fate among the settings that the app changed.
func changed(info agent.Info, who options.Who) []Row {
	var rows []Row
	for _, name := range info.Changed {
		if row, ok := setting(name); ok && row.Who == who {
			rows = append(rows, row)
		}
	}
	return rows
}

func refusals(info agent.Info) []error {
	var problems []error
	for _, row := range changed(info, options.Refused) {
		problems = append(problems, fmt.Errorf("the setting %s=%s is refused: %s", row.Name, show(row.Name, info.Conf[row.Name]), row.Note))
	}
	return problems
}

func warnings(info agent.Info) []string {
	var sentences []string
	for _, row := range changed(info, options.Later) {
		sentences = append(sentences, fmt.Sprintf("mind the setting %s: %s", row.Name, row.Note))
	}
	for _, name := range info.Changed {
		if _, ok := setting(name); !ok {
			sentences = append(sentences, fmt.Sprintf("the setting %s is not known here: Celery %s is newer than this program", name, info.Celery))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(info.Misspelt)) {
		sentences = append(sentences, fmt.Sprintf("Celery has no setting %s and ignores it: %s is one", name, info.Misspelt[name]))
	}
	return sentences
}

// FromEnvironment are the warnings about variables whose value has no effect.
func FromEnvironment(getenv func(string) string) []string {
	var sentences []string
	if remap := getenv("REMAP_SIGTERM"); remap != "" && remap != "SIGQUIT" {
		sentences = append(sentences, "REMAP_SIGTERM has no effect: SIGQUIT is the only value with one")
	}
	return sentences
}
