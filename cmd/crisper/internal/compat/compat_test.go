package compat

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/agent"
)

// celerySettings reads what testdata/celery_settings.py prints: name and default.
func celerySettings(t *testing.T, text string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			t.Fatalf("bad line %q", line)
		}
		all[name] = value
	}
	return all
}

func goldenSettings(t *testing.T, version string) map[string]string {
	t.Helper()
	content, err := os.ReadFile("testdata/celery-" + version + "-settings.txt")
	if err != nil {
		t.Fatal(err)
	}
	return celerySettings(t, string(content))
}

// daemon are read by Celery (bin/base.py, DaemonOption) though defaults.py has none of them.
var daemon = map[string]bool{
	"worker_logfile": true, "worker_pidfile": true, "worker_uid": true, "worker_gid": true, "worker_umask": true, "worker_executable": true,
}

func TestTheTableHasEverySettingOfTheOldestAndTheNewestCeleryAndNoOther(t *testing.T) {
	oldest, newest := goldenSettings(t, "5.3"), goldenSettings(t, "5.7")
	rows := map[string]bool{}
	for _, row := range Settings() {
		if rows[row.Name] {
			t.Errorf("%s is there twice", row.Name)
		}
		rows[row.Name] = true
		_, old := oldest[row.Name]
		value, known := newest[row.Name]
		switch {
		case !known && !old && !daemon[row.Name]:
			t.Errorf("%s is no setting of Celery", row.Name)
		case known && value != row.Default:
			t.Errorf("%s: Celery's default is %s, the table says %s", row.Name, value, row.Default)
		case row.New == old:
			t.Errorf("%s: new since the oldest Celery: %v", row.Name, !row.New)
		}
	}
	for _, celery := range []map[string]string{oldest, newest} {
		for name := range celery {
			if !rows[name] {
				t.Errorf("Celery has %s, the table does not", name)
			}
		}
	}
}

// With an installed Celery, its settings must be in the table, and the golden list
// of its version must be what it says itself.
func TestInstalledCeleryHasNoSettingThatTheTableLacks(t *testing.T) {
	for variable, version := range map[string]string{"CRISPER_TEST_PYTHON": "5.7", "CRISPER_TEST_PYTHON_OLD": "5.3"} {
		t.Run(variable, func(t *testing.T) {
			python := os.Getenv(variable)
			if python == "" {
				t.Skip("set " + variable + " to an interpreter with Celery")
			}
			out, err := exec.Command(python, "testdata/celery_settings.py").Output()
			if err != nil {
				t.Fatalf("cannot ask Celery for its settings: %v", err)
			}
			for name := range celerySettings(t, string(out)) {
				if _, ok := setting(name); !ok {
					t.Errorf("the installed Celery has %s, the table does not", name)
				}
			}
			if diff := cmp.Diff(goldenSettings(t, version), celerySettings(t, string(out))); diff != "" {
				t.Errorf("testdata/celery-%s-settings.txt is not what is installed (run celery_settings.py):\n%s", version, diff)
			}
		})
	}
}

func TestEveryFateThatIsNotPlainHasAReason(t *testing.T) {
	for _, row := range append(Settings(), Environment()...) {
		switch row.Who {
		case options.Crisper, options.Python, options.Both:
		case options.Harmless, options.Later, options.Refused, options.Elsewhere:
			if row.Note == "" {
				t.Errorf("%s is %s without a reason", row.Name, row.Who)
			}
		default:
			t.Errorf("%s has the fate %q", row.Name, row.Who)
		}
	}
}

func TestCompatibilityPageIsFresh(t *testing.T) {
	want, err := os.ReadFile("../../../../docs/reference/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("docs/reference/compatibility.md is stale (go generate ./cmd/crisper):\n%s", diff)
	}
}

func given(values map[string]string) options.Settings {
	settings := options.Settings{}
	for _, row := range options.All() {
		settings[row.Name] = options.Setting{Option: row, Text: row.Default, Source: "default"}
		if text, ok := values[row.Name]; ok {
			settings[row.Name] = options.Setting{Option: row, Text: text, Source: "command line", Given: true}
		}
	}
	return settings
}

// changing is an app that has changed these settings.
func changing(values map[string]string, needs ...string) agent.Info {
	info := agent.Info{Celery: "5.9.0", Conf: map[string]json.RawMessage{}, Needs: needs}
	for name, value := range values {
		info.Changed = append(info.Changed, name)
		info.Conf[name] = json.RawMessage(value)
	}
	return info
}

func TestTheRuntimeAndItsReasons(t *testing.T) {
	type m = map[string]string
	for _, test := range []struct {
		name    string
		options m
		info    agent.Info
		env     m
		runtime string
		says    string // in the reasons, the refusal and the warnings
	}{
		{"an ordinary app", nil, changing(m{"broker_url": `"redis://h"`}), nil, "native", nothingNeeded},
		{"an app with needs", nil, changing(nil, "the pool is x:Y"), nil, "celery", "the pool is x:Y"},
		{"needs of the app, natively", m{"runtime": "native"}, changing(nil, "the pool is x:Y"), nil, "native", "cannot run this app natively: the pool is x:Y"},
		{"a class that Python has named", nil, changing(m{"worker_timer": `"x:T"`}, "worker_timer is x:T"), nil, "celery", "worker_timer is x:T"},
		{"one that it has not", nil, changing(m{"worker_timer": `"x:T"`}), nil, "celery", "worker_timer is x:T"},
		{"a refused setting", nil, changing(m{"worker_pidfile": `"x"`}), nil, "native", "the setting worker_pidfile=x is refused: it would have to be known before the app is loaded; give --pidfile"},
		{"a refused setting of an app that needs Celery's worker", nil, changing(m{"worker_pidfile": `"x"`}, "the pool is x:Y"), nil, "celery", ""},
		{"a setting that does less", nil, changing(m{"broker_write_url": `"redis://w"`}), nil, "native", "mind the setting broker_write_url: what tasks send goes there"},
		{"a setting of a later Celery", nil, changing(m{"worker_brand_new": `5`}), nil, "native", "the setting worker_brand_new is not known here: Celery 5.9.0"},
		{"TERM remapped to something else", nil, changing(nil), m{"REMAP_SIGTERM": "SIGINT"}, "native", "SIGQUIT is the only value"},
		{"asked for by -P", m{"pool": "threads"}, changing(nil), nil, "celery", "-P/--pool says threads"},
		{"asked for by the start method", m{"pool-start-method": "spawn"}, changing(nil), nil, "celery", "--pool-start-method says spawn"},
		{"asked for", m{"runtime": "celery", "children": "2"}, changing(nil), nil, "celery", "--runtime says celery"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(given(test.options), test.info, func(name string) string { return test.env[name] })
			if v.Runtime != test.runtime {
				t.Errorf("runtime %s, want %s", v.Runtime, test.runtime)
			}
			said := strings.Join(append(append(v.Reasons, v.Warnings...), errors.Join(v.Refused, errNothing).Error()), "\n")
			if !strings.Contains(said, test.says) {
				t.Errorf("not said: %q in\n%s", test.says, said)
			}
			if refused := strings.Contains(test.name, "natively") || test.name == "a refused setting"; refused != (v.Refused != nil) {
				t.Errorf("refused: %v", v.Refused)
			}
			if strings.Count(said, "worker_timer is") > 1 {
				t.Errorf("said twice:\n%s", said)
			}
		})
	}
}

// errNothing makes an error of no error, for joining.
var errNothing = errors.New("")

func TestSecretsAreNotShown(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"broker_url", `"redis://u:pw@h/0"`, "redis://**@h/0"},
		{"broker_read_url", `["redis://:pw@a", "redis://:pw@b"]`, `["redis://**@a","redis://**@b"]`},
		{"redis_password", `"pw"`, "**"},
		{"redis_password", `null`, "null"},
		{"s3_secret_access_key", `"pw"`, "**"},
		{"broker_transport_options", `{"sentinel_kwargs": {"password": "pw"}, "visibility_timeout": 5}`, `{"sentinel_kwargs":{"password":"**"},"visibility_timeout":5}`},
		{"broker_transport_options", `{"global_keyprefix": "a"}`, `{"global_keyprefix":"a"}`},
		{"task_queues", `{"__opaque__": "<Thing password=pw>"}`, "<Thing password=**"},
		{"worker_concurrency", `8`, "8"},
	} {
		if got := show(test.name, json.RawMessage(test.value)); !strings.HasPrefix(got, test.want) || strings.Contains(got, "pw") {
			t.Errorf("%s %s shows as %s, want %s", test.name, test.value, got, test.want)
		}
	}
	if got := show("beat_schedule", json.RawMessage(`"`+strings.Repeat("x", 500)+`"`)); len(got) > widest+len("…") {
		t.Errorf("a long value has %d bytes", len(got))
	}
}
