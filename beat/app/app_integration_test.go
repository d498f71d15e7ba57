//go:build integration && linux

package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/beat/message"
	"crisper/beat/schedule"
	"crisper/integration/harness"
)

func TestOnlyWhatCelerysOwnCodeMakesIsABlueprint(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"})
		entries := named(a)
		for name, reason := range map[string]string{
			"plain": "", "configured": "", "finalized": "", "nowfun": "", "relative": "", "celery.backend_cleanup": "",
			"received": "before_task_publish has a receiver", "own": "the task has its own: apply_async",
			"lazy": "its args hold celery.beat.BeatLazyFunc", "odd": "its args hold hooks.Odd",
			"identified": "it has a task_id of its own",
		} {
			e, ok := entries[name]
			if !ok || e.Error != "" {
				t.Errorf("%s: there %t, error %q", name, ok, e.Error)
			}
			if reason == "" && e.Ask != "" || !strings.Contains(e.Ask, reason) || e.Blueprint.IsZero() != (reason != "") {
				t.Errorf("%s: asked because %q, want %q", name, e.Ask, reason)
			}
		}
	})
}

func TestAnInvalidEntryIsNamedAndTheOthersRun(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"})
		entries := named(a)
		for name, reason := range map[string]string{
			"untyped":        "missing 1 required positional argument",
			"unserializable": "Couldn't apply scheduled task unserializable",
			"stranger":       "unexpected keyword argument 'every'",
			"nothing":        "'str' object has no attribute",
		} {
			if e := entries[name]; !strings.Contains(e.Error, reason) || !e.Blueprint.IsZero() {
				t.Errorf("%s: error %q, want %q", name, e.Error, reason)
			}
		}
		if len(entries) != len(a.Entries()) || entries["plain"].Error != "" {
			t.Errorf("got %+v", entries)
		}
	})
}

func TestRenderingGoesThroughAllThatTheAppHasInTheWay(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"})
		for name, wants := range map[string][]string{
			"received":   {`"received": `, `"id": "my-id"`, `"correlation_id": "my-id"`},
			"own":        {`"own": `, `"id": "my-id"`},
			"lazy":       {`"id": "my-id"`},
			"identified": {`"id": "always-this"`},
		} {
			first, err := a.Render(deadline(t), name, "my-id", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			second, err := a.Render(deadline(t), name, "my-id", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range wants {
				if !strings.Contains(string(second.Envelope), want) {
					t.Errorf("%s: %s is not in %s", name, want, second.Envelope)
				}
			}
			if bytes.Equal(first.Envelope, second.Envelope) {
				t.Errorf("%s: the same message twice", name)
			}
			if want := map[bool]string{true: "always-this", false: "my-id"}[name == "identified"]; second.TaskID != want {
				t.Errorf("%s: task id %q, want %q", name, second.TaskID, want)
			}
		}
		if _, err := a.Render(deadline(t), "untyped", "my-id", time.Now()); err == nil {
			t.Error("a message that Celery refuses is rendered")
		}
		if _, err := a.Render(deadline(t), "not there", "my-id", time.Now()); err == nil {
			t.Error("an entry that is not there is rendered")
		}
	})
}

func TestWhatBeatInitChangesIsReadAgain(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for chosen, want := range map[string]bool{"": false, "patch": true, "add": true} {
			a, output := load(t, Options{Python: python, App: "hooks"}, "HOOKS="+chosen)
			before := named(a)
			if _, err := a.Render(deadline(t), "plain", "id", time.Now()); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(output.String(), "beat_init") {
				t.Error("beat_init was sent before anybody leads")
			}
			for i := range 2 {
				changed, err := a.Announce(deadline(t))
				if err != nil || changed != (want && i == 0) {
					t.Errorf("%q: changed %t at call %d, %v", chosen, changed, i, err)
				}
			}
			sent := func() int { return strings.Count(output.String(), "beat_init Service") }
			until(t, "the output of beat_init", func() bool { return sent() > 0 }) // it comes by a pipe, in its own time
			if n := sent(); n != 1 {
				t.Errorf("%q: beat_init was sent %d times", chosen, n)
			}
			checkAfter(t, chosen, a, before, output)
		}
	})
}

func checkAfter(t *testing.T, chosen string, a *App, before map[string]Entry, output *lockedBuffer) {
	t.Helper()
	after := named(a)
	switch chosen {
	case "":
		if len(after) != len(before) || after["plain"].Ask != "" {
			t.Errorf("the entries are not the same: %d", len(after))
		}
	case "add":
		if e := after["late"]; e.Blueprint.IsZero() || len(after) != len(before)+1 {
			t.Errorf("the entry that was added: %+v", e)
		}
	case "patch":
		if e := after["plain"]; !strings.Contains(e.Ask, "apply_entry") || !e.Blueprint.IsZero() {
			t.Errorf("apply_entry is patched, and asked because %q", e.Ask)
		}
		m, err := a.Render(deadline(t), "plain", "id", time.Now())
		if err != nil || !strings.Contains(string(m.Envelope), `"check-in": "plain `) {
			t.Errorf("the patch has no part in %s, %v", m.Envelope, err)
		}
		until(t, "the output of the patch", func() bool { return strings.Contains(output.String(), "in progress plain") })
	}
}

func TestARouterOfTheAppsOwnIsAskedEachTime(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"}, "HOOKS=route")
		if e := named(a)["plain"]; !strings.Contains(e.Ask, "task_routes") {
			t.Errorf("asked because %q", e.Ask)
		}
		m, err := a.Render(deadline(t), "plain", "id", time.Now())
		if err != nil || !strings.HasPrefix(m.RoutingKey, "q") {
			t.Errorf("goes to %q, %v", m.RoutingKey, err)
		}
	})
}

func TestWhatIsLeftOutIsNamed(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for chosen, want := range map[string]string{"eager": "task_always_eager", "events": "task_send_sent_event"} {
			a, _ := load(t, Options{Python: python, App: "hooks"}, "HOOKS="+chosen)
			if needs := strings.Join(a.Info().Needs, "; "); !strings.Contains(needs, want) {
				t.Errorf("%s: needs %q", chosen, needs)
			}
			if e := named(a)["plain"]; chosen == "eager" && !strings.Contains(e.Error, want) {
				t.Errorf("a task that Celery would run here and now: %+v", e)
			}
		}
		a, _ := load(t, Options{Python: python, App: "hooks", Broker: "memory://"})
		if needs := strings.Join(a.Info().Needs, "; "); !strings.Contains(needs, "kombu.transport.memory:Transport") {
			t.Errorf("a broker that is neither: needs %q", needs)
		}
		if _, err := a.Render(deadline(t), "plain", "id", time.Now()); err == nil {
			t.Error("it is rendered all the same")
		}
	})
}

func TestSchedulesArePrintedAsPackageScheduleReadsThem(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"})
		for name, want := range map[string]string{
			"plain": "every 30s", "microseconds": "every 48h0m0.000001s", "finalized": "0 */2 * * ",
			"nowfun": "opaque", "class": "opaque", "never": "opaque",
		} {
			got, err := schedule.Parse(named(a)[name].Schedule)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !strings.Contains(got.String(), want) {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		var relative struct{ Relative bool }
		if err := json.Unmarshal(named(a)["relative"].Schedule, &relative); err != nil || !relative.Relative {
			t.Errorf("relative is lost: %v", err)
		}
	})
}

func TestSchedulesThatOnlyPythonKnowsAreAsked(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"})
		now := time.Now()
		for _, row := range []struct {
			entry string
			last  time.Time
			want  Verdict
		}{
			{"nowfun", now.Add(-31 * time.Second), Verdict{Due: true, Next: now.Add(30 * time.Second)}},
			{"nowfun", now.Add(-10 * time.Second), Verdict{Next: now.Add(20 * time.Second)}},
			{"never", now.Add(-time.Hour), Verdict{}},
		} {
			got, err := a.Ask(deadline(t), row.entry, row.last)
			if err != nil || got.Due != row.want.Due || got.Next.IsZero() != row.want.Next.IsZero() ||
				got.Next.Sub(row.want.Next).Abs() > patience {
				t.Errorf("%s, last at %s: %+v, %v; want %+v", row.entry, row.last, got, err, row.want)
			}
		}
		if _, err := a.Ask(deadline(t), "not there", now); err == nil {
			t.Error("an entry that is not there is due")
		}
	})
}

func TestAnAppThatDoesNotLoadIsLoud(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for app, want := range map[string]string{"broken": "no luck today", "not_there": "not_there", "hooks:nothing": "nothing"} {
			_, output, err := start(t, Options{Python: python, App: app})
			var failed *LoadError
			if !errors.As(err, &failed) || !strings.Contains(failed.Reason, want) {
				t.Errorf("%s: %v", app, err)
			}
			if !strings.Contains(output.String(), "Traceback") || !strings.Contains(output.String(), want) {
				t.Errorf("%s: stderr has %q", app, output)
			}
		}
		if _, _, err := start(t, Options{Python: python, App: "hooks"}, "HOOKS=exit"); err == nil {
			t.Error("an app that exits is loaded")
		}
	})
}

func TestOptionsReachTheAppAsThoseOfCeleryBeat(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{
			Python: python, App: "hooks", Broker: "redis://:secret@127.0.0.1:1/3", Extra: []string{"beat_sync_every=7", "task_default_queue=theirs"},
			Beat: map[string]any{"schedule": "/tmp/elsewhere", "scheduler": "celery.beat.Scheduler", "max_interval": 11, "loglevel": "INFO"},
		})
		i := a.Info()
		if i.ScheduleFilename != "/tmp/elsewhere" || i.Scheduler != "celery.beat:Scheduler" || !i.Native || i.MaxInterval != 11 {
			t.Errorf("options: %+v", i)
		}
		if i.SyncEvery != 7 || string(i.Conf["task_default_queue"]) != `"theirs"` || len(i.Broker.URLs) != 1 || i.Broker.URLs[0] != "redis://:secret@127.0.0.1:1/3" {
			t.Errorf("settings: %d %s %q", i.SyncEvery, i.Conf["task_default_queue"], i.Broker.URLs)
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(a.PID()), "cmdline"))
		if err != nil || bytes.Contains(cmdline, []byte("secret")) {
			t.Errorf("the command line is %q, %v", cmdline, err)
		}
	})
}

func TestItHasNoConnectionButOurs(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		a, _ := load(t, Options{Python: python, App: "hooks"})
		for _, e := range a.Entries() {
			_, _ = a.Render(deadline(t), e.Name, "id", time.Now())
		}
		fds, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(a.PID()), "fd", "*"))
		if err != nil {
			t.Fatal(err)
		}
		sockets := 0
		for _, fd := range fds {
			if target, _ := os.Readlink(fd); strings.HasPrefix(target, "socket:") {
				sockets++
			}
		}
		if sockets != 1 {
			t.Errorf("it has %d sockets", sockets)
		}
	})
}

func TestTheStateOfCelerysSchedulerIsImportedAndNotTouched(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		bed := harness.NewWith(t, harness.Options{Python: python})
		redis, err := bed.StartRedis(deadline(t), harness.RedisOptions{})
		harness.Must(t, err)
		dir := filepath.Join(bed.Dir, "state")
		harness.Must(t, os.Mkdir(dir, 0o755))
		file, env := filepath.Join(dir, "celerybeat-schedule"), []string{"SHAPES_BROKER=" + redis.URL(0), "PYTHONDONTWRITEBYTECODE=1"}
		p, err := bed.Start(harness.Command{
			Name: "stock beat", Dir: apps(t), Env: env,
			Args: []string{python, "-m", "celery", "-A", "shapes", "beat", "-s", file, "-l", "DEBUG"},
		})
		harness.Must(t, err)
		began := time.Now()
		until(t, "celery beat to go round", func() bool { return strings.Count(p.LogText(), "Sending due task bare ") >= 2 })
		harness.Must(t, p.Signal(syscall.SIGTERM))
		_, _, err = p.Wait(deadline(t))
		harness.Must(t, err)
		before := snapshot(t, dir)

		a, _ := load(t, Options{Python: python, App: "shapes", Beat: map[string]any{"schedule": file}}, env...)
		records, err := a.Import(deadline(t), "")
		harness.Must(t, err)
		if r := records["bare"]; r.Count < 2 || r.Last.Before(began.Add(-patience)) || r.Last.After(time.Now()) {
			t.Errorf("got %+v", records)
		}
		if again, err := a.Import(deadline(t), file); err != nil || len(again) != len(records) {
			t.Errorf("the second time %d records, %v", len(again), err)
		}
		if after := snapshot(t, dir); after != before {
			t.Error("the file is not what it was")
		}
		refuseBadFiles(t, a, dir)
	})
}

// snapshot is every file's name and content.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s, %v", dir, err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(file + "\n" + string(content) + "\n")
	}
	return all.String()
}

func refuseBadFiles(t *testing.T, a *App, dir string) {
	t.Helper()
	if records, err := a.Import(deadline(t), filepath.Join(dir, "not-there")); err != nil || len(records) != 0 {
		t.Errorf("a file that is not there: %v, %v", records, err)
	}
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Import(deadline(t), junk); err == nil {
		t.Error("junk is imported")
	}
	if content, err := os.ReadFile(junk); err != nil || string(content) != "no database at all" {
		t.Errorf("junk is %q now, %v", content, err)
	}
}

// TestHelperStartsATimekeeper is not a test: it is the process that is killed below.
func TestHelperStartsATimekeeper(t *testing.T) {
	python := os.Getenv("HELPER_PYTHON")
	if python == "" {
		t.Skip("a helper of TestItDiesWithUs")
	}
	a, err := Start(t.Context(), Options{Python: python, App: "hooks", Workdir: apps(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("HELPER_PID"), []byte(strconv.Itoa(a.PID())), 0o600); err != nil {
		t.Fatal(err)
	}
	select {}
}

func TestItDiesWithUs(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		file := filepath.Join(t.TempDir(), "pid")
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperStartsATimekeeper$")
		cmd.Env = append(os.Environ(), "HELPER_PYTHON="+python, "HELPER_PID="+file, "PYTHONDONTWRITEBYTECODE=1")
		harness.Must(t, cmd.Start())
		var pid int
		until(t, "the timekeeper of another process", func() bool {
			text, _ := os.ReadFile(file)
			pid, _ = strconv.Atoi(string(text))
			return pid != 0
		})
		harness.Must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		until(t, "the timekeeper to follow", func() bool {
			stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	})
}

// TestTenThousandEntriesAreReadInSeconds has no bound but the one that is promised.
func TestTenThousandEntriesAreReadInSeconds(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		began := time.Now()
		a, _ := load(t, Options{Python: python, App: "many"}, "MANY=10000")
		took := time.Since(began)
		i := a.Info()
		t.Logf("%s: %d entries in %s (loading %.2f s, blueprints %.2f s), %d MB", i.Celery, len(a.Entries()), took,
			i.PreloadSeconds, i.EntriesSeconds, i.RSSBytes>>20)
		for _, e := range a.Entries() {
			if e.Ask+e.Error != "" {
				t.Fatalf("%s: %s %s", e.Name, e.Ask, e.Error)
			}
		}
		e := named(a)["entry-17"]
		if m := e.Blueprint.Fill(message.Values{TaskID: "id", Now: time.Now()}); !strings.Contains(string(m.Envelope), `"argsrepr": "[17, 2]"`) {
			t.Errorf("got %s", m.Envelope)
		}
	})
}
