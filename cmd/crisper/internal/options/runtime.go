package options

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Decided is the runtime that the command line alone asks for, and why; "" when
// the app has to be asked.
func Decided(s Settings) (runtime string, why []string) {
	switch asked := s["runtime"]; asked.Text {
	case "native", "celery":
		return asked.Text, []string{asked.spelling() + " says " + asked.Text}
	}
	for _, name := range []string{"pool", "pool-start-method"} {
		if setting := s[name]; onlyCeleryHas(setting) != "" {
			why = append(why, setting.spelling()+" says "+setting.Text)
		}
	}
	if len(why) > 0 {
		return "celery", why
	}
	return "", nil
}

// onlyCeleryHas is the reason why a value needs Celery's own worker; "" for most.
func onlyCeleryHas(setting Setting) string {
	switch setting.Option.Name + "=" + setting.Text {
	case "pool=eventlet", "pool=gevent", "pool=threads", "pool=custom":
		return "children here are processes that run one task each; use --runtime=celery for this app, or -P prefork"
	case "pool-start-method=spawn":
		return "children are forked from a process with a single thread; use --runtime=celery, or --preload-threads=refuse to be told of what does not survive that"
	}
	return ""
}

// notWithCelery are the options that whole workers as children cannot have.
var notWithCelery = map[string]string{
	"purge":                 "every worker that is started in the place of another would purge again; use `celery purge`",
	"statedb":               "workers that are replaced while they run would write the same file; leave it out, on Redis and RabbitMQ they tell each other at start what has been revoked",
	"memory-kill-per-child": "a whole worker is not killed in the middle of its tasks; --max-memory-per-child replaces it",
	"on-cutoff":             celeryDecides,
	"depth":                 celeryDecides,
	"stuck-after":           celeryDecides,
	"preload-threads":       celeryDecides,
}

const (
	celeryDecides = "Celery decides about deliveries and executors there; leave it out, it belongs to the native runtime"
	noChildren    = "the number of executors is --concurrency; give that"
	noHangs       = "executors take nothing by themselves; --stuck-after is about the whole worker"
)

// ForRuntime are the problems that the options have with one runtime, which was
// taken for the reasons why.
func ForRuntime(s Settings, runtime string, why []string) []error {
	var problems []error
	because := ""
	if s["runtime"].Text == "auto" && runtime == "celery" {
		because = ", which is needed because " + strings.Join(why, "; ")
	}
	for _, row := range All() {
		if setting := s[row.Name]; row.Who != Refused && setting.meant() {
			if who, reason := FateOf(setting, runtime); who == Refused {
				problems = append(problems, fmt.Errorf("%s is refused with --runtime=%s%s: %s", setting.said(), runtime, because, reason))
			}
		}
	}
	if runtime == "celery" && s["children"].count() < 1 {
		problems = append(problems, errors.New("--children must be at least 1"))
	}
	return problems
}

// meant: the option was given, and not only to switch a flag off.
func (s Setting) meant() bool {
	return s.Given && !(s.Option.Kind == Flag && !s.flag())
}

// FateOf says who takes an option under a runtime, and why it is so.
func FateOf(s Setting, runtime string) (Who, string) {
	row := s.Option
	if row.Who == Refused {
		return Refused, row.Note
	}
	if runtime == "celery" {
		return underCelery(row)
	}
	switch row.Name {
	case "children":
		return Refused, noChildren
	case "hang-timeout":
		return Refused, noHangs
	}
	if why := onlyCeleryHas(s); why != "" {
		return Refused, why
	}
	return row.Who, row.Note
}

// underCelery is FateOf for whole workers.
func underCelery(row Option) (Who, string) {
	switch {
	case notWithCelery[row.Name] != "":
		return Refused, notWithCelery[row.Name]
	case row.Own || row.Name == "workdir" || row.Name == "pidfile" || row.Name == "executable":
		return Crisper, ""
	case slices.Contains(keptBack, row.Name):
		return Crisper, "for whole workers"
	case row.Name == "loglevel" || row.Name == "logfile" || row.Name == "no-color" || row.Name == "quiet":
		return Both, ""
	}
	return Python, "given to Celery's own worker"
}

// Meant are the options that were given, in the order of the table.
func Meant(s Settings) []Setting {
	var given []Setting
	for _, row := range All() {
		if setting := s[row.Name]; setting.Given {
			given = append(given, setting)
		}
	}
	return given
}
