package compat

import (
	"slices"

	"crisper/cmd/crisper/internal/options"
)

// Row is what becomes of one setting or environment variable in the native runtime.
type Row struct {
	Name    string
	Default string // as Python writes it, of the newest Celery
	New     bool   // the oldest supported Celery does not have it
	Who     options.Who
	// Note is a sentence for the page; for Later and Refused it follows the name in
	// what people are told.
	Note string
}

// section is a heading of the page.
type section struct {
	title string
	rows  []Row
}

func sections() []section {
	return []section{
		{"General", generalRows()}, {"Broker", brokerRows()}, {"Remote control and events", controlRows()},
		{"Tasks", taskRows()}, {"Worker", workerRows()}, {"Beat", beatRows()}, {"Signed messages", securityRows()},
		{"Results", resultRows()}, {"Backends", backendRows()},
	}
}

// Settings are all rows of settings.
func Settings() []Row {
	var all []Row
	for _, s := range sections() {
		all = append(all, s.rows...)
	}
	return all
}

func setting(name string) (Row, bool) {
	all := Settings()
	if i := slices.IndexFunc(all, func(r Row) bool { return r.Name == name }); i >= 0 {
		return all[i], true
	}
	return Row{}, false
}

// Environment are the variables that Celery's worker reads beside those of its options.
func Environment() []Row {
	return []Row{
		{Name: "REMAP_SIGTERM", Who: options.Crisper, Note: "`SIGQUIT`: the supervisor takes `TERM` for `QUIT`, a cold shutdown, softened by worker_soft_shutdown_timeout. It is not passed on to children. Other values have no effect."},
		{Name: "C_FORCE_ROOT", Who: options.Python, Note: "Pickle as root is refused without it, by Celery itself."},
		{Name: "CELERY_BROKER_URL", Who: options.Python, Note: "As CELERY_BROKER_READ_URL and CELERY_BROKER_WRITE_URL; Celery reads it with the settings."},
		{Name: "CELERY_RESULT_BACKEND", Who: options.Python, Note: "Read with the settings, and for --result-backend."},
		{Name: "CELERY_CUSTOM_WORKER_POOL", Who: options.Elsewhere, Note: "The class behind `-P custom`, which takes the celery runtime."},
		{Name: "AUTOSCALE_KEEPALIVE", Who: options.Crisper, Note: "A number of seconds above 0, 30 without it; another value is exit code 2."},
		{Name: "CELERY_RDBSIG", Who: options.Harmless, Note: "`USR2` starts no debugger: the supervisor is no Python program. `celery.contrib.rdb` in tasks works."},
		{Name: "CELERY_WORKER_REVOKES_MAX", Who: options.Crisper, Note: "50,000 without it, 0 for any number; what is no such number is exit code 2."},
		{Name: "CELERY_WORKER_REVOKE_EXPIRES", Who: options.Crisper, Note: "Seconds, three hours without it, 0 for never; what is no such number is exit code 2. As in Celery, age counts only once there are so many."},
		{Name: "CELERY_WORKER_SUCCESSFUL_MAX", Who: options.Python, Note: "Of worker_deduplicate_successful_tasks: each child remembers its own, as in Celery."},
		{Name: "CELERY_WORKER_SUCCESSFUL_EXPIRES", Who: options.Python, Note: "Of worker_deduplicate_successful_tasks: each child remembers its own, as in Celery."},
	}
}
