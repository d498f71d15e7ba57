package options

import (
	"fmt"
	"time"
)

// relations are the problems between options, and of choices that exist in
// Celery but not here.
func relations(s Settings) []error {
	problems := poolRelations(s)
	complain := complainer(&problems)
	hard, soft := s["time-limit"].duration(), s["soft-time-limit"].duration()
	complain(hard > 0 && soft > hard,
		"--soft-time-limit (%s) must not be above --time-limit (%s): it would never be reached", soft, hard)

	recycle, kill := s["max-memory-per-child"].bytes(), s["memory-kill-per-child"].bytes()
	complain(kill > 0 && recycle >= kill,
		"--memory-kill-per-child (%d KiB) must be above --max-memory-per-child (%d KiB): no child would ever be replaced in time", kill>>10, recycle>>10)

	complain(s["depth"].count() == 0, "--depth must be at least 1")
	complain(s["stuck-after"].duration() < time.Second, "--stuck-after must be at least 1s")
	complain(s["queues"].Given && len(s["queues"].list()) == 0, "--queues names no queue")
	complain(s["python"].Given && s["executable"].Given && s["python"].Text != s["executable"].Text,
		"--python and --executable name different interpreters; --python is enough")
	return problems
}

// poolRelations are those of what every pool of children has.
func poolRelations(s Settings) []error {
	var problems []error
	complain := complainer(&problems)
	guardSoft, guardHard := s["guard-soft"].fraction(), s["guard-hard"].fraction()
	complain(guardSoft > 0 && guardHard > 0 && guardSoft >= guardHard,
		"--guard-soft (%g) must be below --guard-hard (%g)", guardSoft, guardHard)

	grace := s["grace"].duration()
	complain(grace > 0 && grace < time.Second, "--grace (%s) must be at least 1s, or 0 to wait for ever", grace)
	complain(s["start-timeout"].duration() == 0, "--start-timeout must be above 0")
	complain(s["oom-score-adj"].count() > 1000, "--oom-score-adj must be at most 1000")
	return problems
}

func complainer(problems *[]error) func(when bool, format string, args ...any) {
	return func(when bool, format string, args ...any) {
		if when {
			*problems = append(*problems, fmt.Errorf(format, args...))
		}
	}
}

// warnings are sentences for the log at start: what is accepted and does less
// than people may think.
func warnings(s Settings, w World) []string {
	var sentences []string
	for _, row := range All() {
		if setting := s[row.Name]; row.Who == Later && setting.Given && !(row.Kind == Flag && !setting.flag()) {
			sentences = append(sentences, fmt.Sprintf("%s has no effect: %s", row.Spelling(), row.Note))
		}
	}
	if w.Kubernetes && !s["grace"].Given {
		sentences = append(sentences, "no grace period is set: what still runs when Kubernetes loses patience is killed and comes back only by a peer; "+
			"set CRISPER_GRACE to the pod's terminationGracePeriodSeconds")
	}
	if s["pool"].Text == "solo" && s["concurrency"].count() > 1 {
		sentences = append(sentences, "-P solo is one child: --concurrency has no effect")
	}
	if s["autoscale"].Given && s["concurrency"].Given {
		sentences = append(sentences, "--autoscale decides the number of slots: --concurrency has no effect")
	}
	return sentences
}
