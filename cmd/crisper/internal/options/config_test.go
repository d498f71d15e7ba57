package options

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"crisper/supervisor"
)

var plainWorld = World{Socket: "/run/x.sock", CPUs: 6, OOMScoreAdj: 100, Workdir: "/home/u", Exists: func(string) bool { return false }}

// parse does with a command line what the worker command does.
func parse(t *testing.T, env map[string]string, world World, args ...string) (Plan, error) {
	t.Helper()
	flags := pflag.NewFlagSet("worker", pflag.ContinueOnError)
	Add(flags, All())
	if err := flags.Parse(args); err != nil {
		return Plan{}, err
	}
	words, dashed := flags.Args(), []string(nil)
	if at := flags.ArgsLenAtDash(); at >= 0 {
		words, dashed = words[:at], words[at:]
	}
	settings, problems := Resolve(flags, All(), func(name string) string { return env[name] })
	plan, err := Make(settings, words, dashed, world)
	return plan, errors.Join(append(problems, err)...)
}

func mustParse(t *testing.T, args ...string) Plan {
	t.Helper()
	plan, err := parse(t, nil, plainWorld, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return plan
}

// samples has a good value for each kind.
func sampleValue(row Option) string {
	switch row.Kind {
	case Count, Octal:
		return "7"
	case Seconds, Memory, Concurrency:
		return "12"
	case Duration:
		return "90s"
	case Fraction:
		return "0.5"
	case Address:
		return "127.0.0.1:99"
	case Level:
		return "info"
	case Autoscale:
		return "5,2"
	case Choice:
		return row.Choices[0]
	}
	return "some,text"
}

func TestEverySpellingOfEveryOptionIsTaken(t *testing.T) {
	for _, row := range All() {
		for _, spelling := range ours(row) {
			lines := [][]string{{spelling}}
			if row.Kind != Flag {
				value := sampleValue(row)
				lines = [][]string{{spelling, value}, {spelling + "=" + value}}
				if !strings.HasPrefix(spelling, "--") {
					lines = [][]string{{spelling, value}, {spelling + value}}
				}
			}
			for _, line := range lines {
				flags := pflag.NewFlagSet("worker", pflag.ContinueOnError)
				Add(flags, All())
				if err := flags.Parse(append(line, "x=1")); err != nil {
					t.Errorf("%v: %v", line, err)
					continue
				}
				if words := flags.Args(); len(words) != 1 {
					t.Errorf("%v took or left too much: %v", line, words)
				}
				settings, problems := Resolve(flags, []Option{row}, func(string) string { return "" })
				if refused := len(problems) > 0; refused != (row.Who == Refused) {
					t.Errorf("%v (%s): problems %v", line, row.Who, problems)
				}
				if setting := settings[row.Name]; !setting.Given || setting.Source != "command line" {
					t.Errorf("%v was not recognised: %+v", line, setting)
				}
			}
		}
	}
}

func TestEveryVariableIsRead(t *testing.T) {
	for _, row := range All() {
		value := "yes"
		if row.Kind != Flag {
			value = sampleValue(row)
		}
		for _, name := range row.Env {
			flags := pflag.NewFlagSet("worker", pflag.ContinueOnError)
			Add(flags, All())
			settings, _ := Resolve(flags, []Option{row}, func(asked string) string {
				if asked == name {
					return value
				}
				return ""
			})
			if setting := settings[row.Name]; !setting.Given || setting.Source != "environment "+name {
				t.Errorf("$%s was not read for --%s: %+v", name, row.Name, setting)
			}
		}
	}
}

func TestOptionsBecomeConfiguration(t *testing.T) {
	type get func(Plan) any
	cfg := func(f func(supervisor.Config) any) get { return func(p Plan) any { return f(p.Config) } }
	worker := func(key string) get { return func(p Plan) any { return p.Config.Agent.Worker[key] } }
	for _, test := range []struct {
		args string
		get  get
		want any
	}{
		{"", cfg(func(c supervisor.Config) any { return c.Concurrency }), 0},
		{"-c 8", cfg(func(c supervisor.Config) any { return c.Concurrency }), 8},
		{"-c8", worker("concurrency"), 8},
		{"--concurrency=auto", cfg(func(c supervisor.Config) any { return c.Concurrency }), 6},
		{"--concurrency=auto", worker("concurrency"), 6},
		{"-c 0", worker("concurrency"), nil},
		{"-P solo -c 4", cfg(func(c supervisor.Config) any { return c.Concurrency }), 1},
		{"-P processes", worker("pool"), "prefork"},
		{"--autoscale 2,10", cfg(func(c supervisor.Config) any { return [2]int{c.AutoscaleMax, c.AutoscaleMin} }), [2]int{10, 2}},
		{"--autoscale 3", cfg(func(c supervisor.Config) any { return [2]int{c.AutoscaleMax, c.AutoscaleMin} }), [2]int{3, 0}},
		{"", cfg(func(c supervisor.Config) any { return c.PrefetchMultiplier }), -1},
		{"--prefetch-multiplier 0", cfg(func(c supervisor.Config) any { return c.PrefetchMultiplier }), -1},
		{"--prefetch-multiplier 4", cfg(func(c supervisor.Config) any { return c.PrefetchMultiplier }), 4},
		{"--disable-prefetch", cfg(func(c supervisor.Config) any { return c.DisablePrefetch }), true},
		{"--time-limit 1.5", cfg(func(c supervisor.Config) any { return c.TimeLimit }), 1500 * time.Millisecond},
		{"--time-limit 1.5", worker("time_limit"), 1.5},
		{"--soft-time-limit=2", cfg(func(c supervisor.Config) any { return c.SoftTimeLimit }), 2 * time.Second},
		{"--max-tasks-per-child 9", cfg(func(c supervisor.Config) any { return c.Pool.MaxTasks }), 9},
		{"--max-memory-per-child 12000", cfg(func(c supervisor.Config) any { return c.Pool.MaxMemory }), int64(12000 << 10)},
		{"--max-memory-per-child 12Mi", worker("max_memory_per_child"), int64(12 << 10)},
		{"--memory-kill-per-child 1Gi", cfg(func(c supervisor.Config) any { return c.Pool.MemoryKill }), int64(1 << 30)},
		{"--max-age-per-child 1h", cfg(func(c supervisor.Config) any { return c.Pool.MaxAge }), time.Hour},
		{"--jitter 0.25", cfg(func(c supervisor.Config) any { return c.Pool.Jitter }), 0.25},
		{"--surge 0", cfg(func(c supervisor.Config) any { return c.Pool.Surge }), 0},
		{"--grace 30", cfg(func(c supervisor.Config) any { return c.Grace }), 30 * time.Second},
		{"--grace 30", cfg(func(c supervisor.Config) any { return c.GraceMargin }), 3 * time.Second},
		{"--grace 1s", cfg(func(c supervisor.Config) any { return c.GraceMargin }), 500 * time.Millisecond},
		{"", cfg(func(c supervisor.Config) any { return c.OnCutoff }), "fail"},
		{"--http off", cfg(func(c supervisor.Config) any { return c.HTTP }), ""},
		{"", cfg(func(c supervisor.Config) any { return c.HTTP }), ":9810"},
		{"", cfg(func(c supervisor.Config) any { return c.Socket }), "/run/x.sock"},
		{"--socket off", cfg(func(c supervisor.Config) any { return c.Socket }), ""},
		{"", cfg(func(c supervisor.Config) any { return c.TerminationLog }), ""},
		{"--termination-log /t", cfg(func(c supervisor.Config) any { return c.TerminationLog }), "/t"},
		{"", cfg(func(c supervisor.Config) any { return c.OOMScoreAdj }), 300},
		{"--oom-score-adj 950", cfg(func(c supervisor.Config) any { return c.OOMScoreAdj }), 1000},
		{"--oom-score-adj 0", cfg(func(c supervisor.Config) any { return c.OOMScoreAdj }), 0},
		{"--discard", cfg(func(c supervisor.Config) any { return c.Purge }), true},
		{"--executable /p", cfg(func(c supervisor.Config) any { return c.Python }), "/p"},
		{"--stuck-after 2m", cfg(func(c supervisor.Config) any { return c.StuckAfter }), 2 * time.Minute},
		{"-Q a,b,", worker("queues"), []string{"a", "b"}},
		{"-X c", worker("exclude_queues"), []string{"c"}},
		{"-I m.n", worker("include"), []string{"m.n"}},
		{"", worker("loglevel"), 30},
		{"-l info", worker("loglevel"), 20},
		{"-l FATAL", func(p Plan) any { return p.Log.Level }, 50},
		{"-f x.log", func(p Plan) any { return p.Log.File }, "x.log"},
		{"-C -q", func(p Plan) any { return p.Log.NoColor && p.Log.Quiet }, true},
		{"--umask 027", func(p Plan) any { return p.Umask }, 0o27},
		{"", func(p Plan) any { return p.Umask }, -1},
		{"--workdir src", func(p Plan) any { return p.Config.Agent.Workdir }, "/home/u/src"},
		{"-n w1@%h", func(p Plan) any { return p.Config.Agent.Hostname }, "w1@%h"},
		{"", func(p Plan) any { return p.Config.Agent.Hostname }, ""},
		{"--preload-threads refuse", func(p Plan) any { return p.Config.Agent.Threads }, "refuse"},
		{"a=1 b=2 -- --mine x", func(p Plan) any { return p.Config.Agent.Extra }, []string{"a=1", "b=2", "--mine", "x"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.get(mustParse(t, strings.Fields(test.args)...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOnlyWhatWasGivenReachesCelery(t *testing.T) {
	plan := mustParse(t, "-A", "proj", "-E", "-O", "fair", "--without-gossip", "--purge", "--pidfile", "x")
	if diff := cmp.Diff(map[string]any{"loglevel": 30, "task_events": true}, plan.Config.Agent.Worker); diff != "" {
		t.Error(diff)
	}
}

func TestTheCommandLineWinsOverTheEnvironment(t *testing.T) {
	env := map[string]string{"APP": "first", "CELERY_APP": "second", "CELERY_WORKER_CONCURRENCY": "3", "CRISPER_GRACE": "25"}
	plan, err := parse(t, env, plainWorld, "--grace", "40")
	if err != nil {
		t.Fatal(err)
	}
	c := plan.Config
	if c.Agent.App != "first" || c.Concurrency != 3 || c.Grace != 40*time.Second {
		t.Errorf("app %q, concurrency %d, grace %s", c.Agent.App, c.Concurrency, c.Grace)
	}
}

// Every refusal says which option, which value, why, and what to do instead (in its note).
func TestARefusalNamesTheOptionItsValueAndTheReason(t *testing.T) {
	samples := map[string]string{"pool": "gevent", "pool-start-method": "spawn"}
	for _, row := range All() {
		value := samples[row.Name]
		if value == "" {
			value = sampleValue(row)
		}
		for _, runtime := range []string{"native", "celery"} {
			setting := Setting{Option: row, Text: value, Source: "command line", Given: true}
			who, why := FateOf(setting, runtime)
			if who != Refused {
				continue
			}
			said, arg := row.Spelling(), "--"+row.Name
			if row.Kind != Flag {
				said, arg = said+" "+value, arg+"="+value
			}
			_, err := parse(t, nil, plainWorld, "--runtime", runtime, arg)
			if err == nil || !strings.Contains(err.Error(), said+" is refused") || !strings.Contains(err.Error(), why) || why == "" {
				t.Errorf("%s under %s: %v", said, runtime, err)
			}
		}
	}
	_, err := parse(t, map[string]string{"CELERY_WORKER_POOL": "gevent"}, plainWorld, "--runtime", "native")
	if err == nil || !strings.Contains(err.Error(), "CELERY_WORKER_POOL=gevent is refused with --runtime=native: ") {
		t.Errorf("from the environment: %v", err)
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, err := parse(t, map[string]string{"CRISPER_POISON_LIMIT": "many"}, plainWorld,
		"-c", "few", "-l", "loud", "-P", "gevent", "-D", "--max-memory-per-child", "300Mi", "--memory-kill-per-child", "200Mi",
		"--soft-time-limit", "9", "--time-limit", "3", "--guard-soft", "0.9", "--guard-hard", "0.8", "--depth", "0", "stray")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`CRISPER_POISON_LIMIT must be a whole number, 0 or more, not "many"`, `-c/--concurrency must be`, `-l/--loglevel must be one of DEBUG`,
		"--depth 0 is refused with --runtime=celery, which is needed because -P/--pool says gevent: Celery decides", "-D/--detach is refused", "--memory-kill-per-child (204800 KiB) must be above",
		"--soft-time-limit (9s) must not be above --time-limit (3s)", "--guard-soft (0.9) must be below", "--depth must be at least 1",
		`unexpected argument "stray"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\nin:\n%v", want, err)
		}
	}
}

func TestWhatMayGoWrongIsSaidAtStart(t *testing.T) {
	pod := plainWorld
	pod.Kubernetes = true
	plan, _ := parse(t, nil, pod)
	if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "terminationGracePeriodSeconds") {
		t.Errorf("in a pod without a grace: %q", plan.Warnings)
	}
	if plan, _ = parse(t, map[string]string{"CRISPER_GRACE": "30"}, pod); len(plan.Warnings) != 0 {
		t.Errorf("in a pod with a grace: %q", plan.Warnings)
	}
}

func TestARefusedFlagThatIsSwitchedOffIsNoProblem(t *testing.T) {
	if _, err := parse(t, map[string]string{"CELERY_WORKER_BEAT": "0"}, plainWorld); err != nil {
		t.Error(err)
	}
	if _, err := parse(t, map[string]string{"CELERY_WORKER_BEAT": "1"}, plainWorld); err == nil {
		t.Error("an embedded Beat asked for by the environment was accepted")
	}
}

func TestReaders(t *testing.T) {
	for _, test := range []struct {
		kind Kind
		text string
		want any // nil: refused
	}{
		{Flag, "Yes", true}, {Flag, "off", false}, {Flag, "maybe", nil},
		{Count, "-1", nil}, {Count, "1.5", nil}, {Count, " 3 ", 3},
		{Seconds, "nan", nil}, {Seconds, "1e300", nil}, {Seconds, "-1", nil}, {Seconds, "inf", nil},
		{Duration, "5m", 5 * time.Minute}, {Duration, "30", 30 * time.Second}, {Duration, "-5s", nil}, {Duration, "soon", nil},
		{Memory, "100", int64(100 << 10)}, {Memory, "1.5Mi", int64(3 << 19)}, {Memory, "2M", int64(2e6)}, {Memory, "Mi", nil}, {Memory, "1e40", nil}, {Memory, "-3", nil},
		{Fraction, "1", 1.0}, {Fraction, "1.1", nil}, {Fraction, "nan", nil},
		{Autoscale, "1,2,3", nil}, {Autoscale, "0", nil}, {Autoscale, "a,b", nil},
		{Concurrency, "AUTO", Auto}, {Concurrency, "-1", nil},
		{Address, ":9810", ":9810"}, {Address, "127.0.0.1:0", "127.0.0.1:0"}, {Address, "[::1]:80", "[::1]:80"}, {Address, "off", "off"},
		{Address, "notaport", nil}, {Address, "9810", nil}, {Address, ":port", nil}, {Address, ":70000", nil}, {Address, ":-1", nil},
		{Octal, "022", 0o22}, {Octal, "0o77", 0o77}, {Octal, "8", nil}, {Octal, "7777", nil},
		{List, "a, b,,", []string{"a", "b"}},
	} {
		got, err := Option{Kind: test.kind}.read(test.text)
		if (err != nil) != (test.want == nil) {
			t.Errorf("%q as kind %d: %v, %v", test.text, test.kind, got, err)
			continue
		}
		if err == nil && !cmp.Equal(got, test.want) {
			t.Errorf("%q as kind %d is %v, want %v", test.text, test.kind, got, test.want)
		}
	}
}

func TestPasswordsAreHidden(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"redis://:secret@h:6379/0", "redis://**@h:6379/0"},
		{"a rediss://u:p/w@x@h/0;redis://:q@i failed", "a rediss://**@h/0;redis://**@i failed"},
		{"sentinel://h:1;sentinel://:pw@i:2", "sentinel://h:1;sentinel://**@i:2"},
		{"redis://h/0?password=x&ssl_cert_reqs=none", "redis://h/0?password=**&ssl_cert_reqs=none"},
		{"redis://h/0", "redis://h/0"},
		{"mail a@b", "mail a@b"},
	} {
		if got := Redact(test.text); got != test.want {
			t.Errorf("%s: %s, want %s", test.text, got, test.want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("user", "secret")
	f.Fuzz(func(t *testing.T, user, password string) {
		if len(password) < 4 || strings.ContainsAny(user+password, " \t\r\n\f\v;,\"'") || strings.Contains("redis://**@host/0", password) {
			t.Skip()
		}
		if got := Redact("redis://" + user + ":" + password + "@host/0"); strings.Contains(got, password) {
			t.Errorf("the password shows in %q", got)
		}
	})
}
