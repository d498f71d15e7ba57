package options

import (
	"strings"
	"testing"
)

func TestACeleryWorkerIsRecognisedByItsCommandLine(t *testing.T) {
	for line, want := range map[string]bool{
		"celery -A proj worker -c 8":                     true,
		"/venv/bin/celery --app proj -b redis:// worker": true,
		"celery --app=proj -q worker":                    true,
		"python3.12 -m celery -A proj worker":            true,
		"python -m celery worker":                        true,
		"celery -A worker beat":                          false,
		"celery -A proj beat":                            false,
		"celery -A proj worker --detach":                 false,
		"celery -A proj worker -D":                       false,
		"celery multi start w1":                          false,
		"celery":                                         false,
		"celery -A":                                      false,
		"python -m proj worker":                          false,
		"python job.py celery worker":                    false,
		"sh -c celery worker":                            false,
		"uvicorn proj:app":                               false,
	} {
		if got := isCeleryWorker(strings.Fields(line)); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}
