package options

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestACeleryWorkerIsRecognisedByItsCommandLine(t *testing.T) {
	for line, want := range map[string]bool{
		"celery -A proj worker -c 8":                     true,
		"/venv/bin/celery --app proj -b redis:// worker": true,
		"celery --app=proj -q worker":                    true,
		"python3.12 -m celery -A proj worker":            true,
		"python -m celery worker":                        true,
		"python -u -W ignore -Xdev -m celery worker":     true,
		"celery -A worker beat":                          false,
		"celery -A proj beat":                            false,
		"celery -A proj worker --detach":                 false,
		"celery -A proj worker -D":                       false,
		"celery -A proj worker -ED":                      false,
		"celery multi start w1":                          false,
		"celery":                                         false,
		"celery -A":                                      false,
		"celery -- worker":                               false,
		"python":                                         false,
		"python -m proj worker":                          false,
		"python -E -m celery worker":                     false,
		"python job.py celery worker":                    false,
		"python job.py -m celery worker":                 false,
		"sh -c celery worker":                            false,
		"uvicorn proj:app":                               false,
	} {
		plan, err := makeExec(t, nil, nil, strings.Fields(line)...)
		if err != nil || plan.Celery != want || plan.Workers != nil {
			t.Errorf("%s: %t, %v", line, plan.Celery, err)
		}
	}
}

func TestACommandLineIsKeptAsItWasWrittenButForTheNodeName(t *testing.T) {
	for _, c := range []struct {
		line, before, after string
		given               map[string]string
	}{
		{"celery -A proj worker -c 8 -Q a,b", "celery -A proj worker", "-c 8 -Q a,b",
			map[string]string{"app": "proj", "concurrency": "8", "queues": "a,b"}},
		{"/v/bin/celery --app=proj -q worker", "/v/bin/celery --app=proj -q worker", "",
			map[string]string{"app": "proj", "quiet": "true"}},
		{"python -u -m celery -Aproj worker -n mail@%h -E", "python -u -m celery -Aproj worker", "-E",
			map[string]string{"app": "proj", "hostname": "mail@%h", "task-events": "true"}},
		{"celery worker --hostname=a@b --hostname c@d -c1", "celery worker", "-c1",
			map[string]string{"hostname": "c@d", "concurrency": "1"}},
		{"celery worker -nmail -Ensecond x=y -Ec4", "celery worker", "-E x=y -Ec4",
			map[string]string{"hostname": "second", "task-events": "true", "concurrency": "4"}},
		{"celery worker --theirs -n own --events -Zn -- -n theirs", "celery worker", "--theirs --events -Zn -- -n theirs",
			map[string]string{"hostname": "own", "task-events": "true"}},
		{"celery -A worker worker --discard -S x -B", "celery -A worker worker", "--discard -S x -B",
			map[string]string{"app": "worker", "purge": "true", "statedb": "x", "beat": "true"}},
		{"celery -n lost worker - -Q", "celery -n lost worker", "- -Q", map[string]string{"hostname": "lost"}},
	} {
		args := strings.Fields(c.line)
		line, ok := readCelery(args)
		if !ok {
			t.Errorf("%s: not recognised", c.line)
		}
		if got := strings.Join(line.before, " "); got != c.before {
			t.Errorf("%s: before: %q", c.line, got)
		}
		if got := strings.Join(line.after, " "); got != c.after {
			t.Errorf("%s: after: %q", c.line, got)
		}
		if diff := cmp.Diff(c.given, line.given); diff != "" {
			t.Errorf("%s: %s", c.line, diff)
		}
		if got := strings.Join(args, " "); got != c.line {
			t.Errorf("%s: became %q", c.line, got)
		}
	}
}
