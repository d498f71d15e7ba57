package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/beat/app"
	"crisper/beat/lease"
	"crisper/broker"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
)

func TestBeatTakesCelerysOptionsAndOurs(t *testing.T) {
	tr := newTrial(nil)
	args := "beat -A proj -s /data/sched -S proj.Sched --max-interval 30 -l INFO --catch-up-window 2m --lease-duration 9 --renew-deadline 6s " +
		"--retry-period 1s --election-timeout 1m --reload-on-change /etc/a,/etc/b --http :99 --socket off -b redis://h/1 beat_max_loop_interval=5"
	if code := tr.do(t, strings.Fields(args)...); code != 0 || len(tr.beats) != 1 {
		t.Fatalf("exit code %d: %s", code, tr.err.String())
	}
	got := tr.beats[0]
	wantLease := lease.Options{LeaseDuration: 9 * time.Second, RenewDeadline: 6 * time.Second, RetryPeriod: time.Second, GiveUpAfter: time.Minute}
	if diff := cmp.Diff(wantLease, got.Lease); diff != "" {
		t.Error(diff)
	}
	if got.CatchUp != 2*time.Minute || got.HTTP != ":99" || got.Socket != "" || !cmp.Equal(got.Watch, []string{"/etc/a", "/etc/b"}) {
		t.Errorf("%+v", got)
	}
	wantBeat := map[string]any{"schedule": "/data/sched", "scheduler": "proj.Sched", "max_interval": 30, "loglevel": 20}
	if diff := cmp.Diff(wantBeat, got.App.Beat); diff != "" {
		t.Error(diff)
	}
	if got.App.App != "proj" || got.App.Broker != "redis://h/1" || !cmp.Equal(got.App.Extra, []string{"beat_max_loop_interval=5"}) {
		t.Errorf("%+v", got.App)
	}
}

func TestMistakesOfABeatAreExitCode2(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"beat", "no app is named"},
		{"beat -A proj --detach", "--detach is refused: the container runtime"},
		{"beat -A proj --enable-remote-control", "--enable-remote-control is refused: use the probes"},
		{"beat -A proj --election=etcd", "--election must be one of kubernetes, file, redis"},
		{"beat -A proj --max-interval soon", "--max-interval must be a whole number"},
		{"beat -A proj --lease-duration 4s --renew-deadline 5s", "the renew deadline (5s) must be shorter than the lease duration (4s)"},
		{"beat -A proj --lease-duration 1500ms", "must be a whole number of seconds"},
		{"beat -A proj --election=file --election-url redis://h", "--election-url belongs to --election=redis"},
		{"beat -A proj stray", "unexpected argument \"stray\""},
		{"beat -A proj --frob", "No such option '--frob'. `crisper beat --help` lists the options"},
		{"beat preview", "no app is named"},
		{"beat preview -A proj --from yesterday", "--from must be a time such as"},
		{"beat preview -A proj --from 2026-01-02 --until 2026-01-01", "is before --from"},
		{"beat preview -A proj --tz Mars", "--tz must be a time zone"},
		{"beat preview -A proj --entry none", "there is no entry \"none\"; the app has \"daily\""},
		{"beat preview -A proj stray", "crisper beat preview takes no argument"},
	} {
		tr := newTrial(nil)
		tr.beatApp = previewed
		code := tr.do(t, strings.Fields(test.args)...)
		if said := tr.err.String(); code != supervisor.ExitUsage || !strings.Contains(said, test.want) {
			t.Errorf("crisper %s: exit code %d, said %q, want %q", test.args, code, said, test.want)
		}
		if len(tr.beats) > 0 {
			t.Errorf("crisper %s: a beat was started", test.args)
		}
	}
}

func TestTheExitCodeOfABeatSaysWhyItEnded(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{&app.LoadError{Reason: "no module named proj"}, supervisor.ExitApp},
		{fmt.Errorf("x: %w", &lease.Refusal{}), supervisor.ExitBroker},
		{&lease.GaveUp{}, supervisor.ExitBroker},
		{fmt.Errorf("cannot publish: %w", broker.ErrRefused), supervisor.ExitBroker},
		{usageError("wrong"), supervisor.ExitUsage},
		{errors.New("anything"), supervisor.ExitFailure},
	} {
		tr := newTrial(nil)
		tr.failWith = test.err
		if code := tr.do(t, "beat", "-A", "proj"); code != test.want {
			t.Errorf("%v: exit code %d, want %d", test.err, code, test.want)
		}
	}
}

// previewed is an app with a schedule in Berlin.
var previewed = beatApp{
	info: app.Info{Timezone: "Europe/Berlin", AppName: "proj"},
	entries: []app.Entry{
		{Name: "daily", Task: "proj.report", Schedule: crontabSpec([]int{30}, []int{2})},
		{Name: "often", Task: "proj.<poll>", Schedule: json.RawMessage(`{"kind":"interval","seconds":1800.5,"relative":false,"tz":"Europe/Berlin"}`)},
		{Name: "sun", Task: "proj.rise", Schedule: json.RawMessage(`{"kind":"solar","event":"sunrise"}`)},
		{Name: "wrong", Error: "TypeError: its schedule is 'x'"},
	},
}

func crontabSpec(minutes, hours []int) json.RawMessage {
	all := func(from, to int) (list []int) {
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
		return list
	}
	text, _ := json.Marshal(map[string]any{
		"kind": "crontab", "tz": "Europe/Berlin", "minute": fmt.Sprint(minutes[0]), "hour": fmt.Sprint(hours[0]),
		"day_of_month": "*", "month_of_year": "*", "day_of_week": "*",
		"sets": map[string][]int{"minute": minutes, "hour": hours, "day_of_month": all(1, 31), "month_of_year": all(1, 12), "day_of_week": all(0, 6)},
	})
	return text
}

func TestAPreviewIsOneLineOfJSONForEachTick(t *testing.T) {
	tr := newTrial(nil)
	tr.beatApp = previewed
	code := tr.do(t, "beat", "preview", "-A", "proj", "--from", "2026-03-29T00:30:00Z", "--until", "2026-03-29T04:00+02:00")
	const want = `{"entry":"often","task":"proj.<poll>","due":"2026-03-29T01:00:00.5Z"}
{"entry":"daily","task":"proj.report","due":"2026-03-29T01:30:00Z"}
{"entry":"often","task":"proj.<poll>","due":"2026-03-29T01:30:01Z"}
`
	if diff := cmp.Diff(want, tr.out.String()); code != 0 || diff != "" {
		t.Errorf("exit code %d: %s", code, diff)
	}
	for _, named := range []string{`entry "wrong" cannot run: TypeError`, `entry "sun" is left out`} {
		if !strings.Contains(tr.err.String(), named) {
			t.Errorf("not said: %s in %q", named, tr.err.String())
		}
	}
}

func TestAPreviewIsOfOneEntryAndInAnotherZoneWhenAsked(t *testing.T) {
	tr := newTrial(nil)
	tr.beatApp = previewed
	// A moment without a zone is in that of --tz.
	code := tr.do(t, "beat", "preview", "-A", "proj", "--entry", "daily", "--tz", "America/New_York", "--from", "2026-07-01", "--until", "48h")
	const want = `{"entry":"daily","task":"proj.report","due":"2026-07-01T06:30:00Z"}
{"entry":"daily","task":"proj.report","due":"2026-07-02T06:30:00Z"}
`
	if diff := cmp.Diff(want, tr.out.String()); code != 0 || diff != "" {
		t.Errorf("exit code %d: %s%s", code, diff, tr.err.String())
	}
	if code := tr.do(t, "beat", "preview", "-A", "proj", "--entry", "wrong"); code != supervisor.ExitFailure {
		t.Errorf("a preview of an entry that cannot run: exit code %d", code)
	}
}

func TestAPreviewOnATerminalIsATable(t *testing.T) {
	var out strings.Builder
	berlin, _ := time.LoadLocation("Europe/Berlin")
	tr := newTrial(nil)
	entries, err := tr.previewEntries(previewed.entries[:1], previewing{})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	if err := writePreview(&out, entries, taskNames(previewed.entries), from, from.Add(24*time.Hour), berlin, true); err != nil {
		t.Fatal(err)
	}
	const want = `DUE (Europe/Berlin)        ENTRY  TASK
2026-03-29 03:30:00 +0200  daily  proj.report
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAScheduleIsNamedAfterTheLeaseOrTheApp(t *testing.T) {
	for _, test := range []struct{ lease, app, option, want string }{
		{"given", "proj", "", "given"},
		{"", "proj", "", "proj-beat"},
		{"", "My_App", "", "my-app-beat"},
		{"", "__main__", "proj.celery:app", "proj-celery-app-beat"},
		{"", "", "", lease.DefaultName},
	} {
		plan := options.BeatPlan{Election: lease.Spec{Name: test.lease}}
		plan.Beat.App.App = test.option
		if got := scheduleName(plan, app.Info{AppName: test.app}); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestWithoutABeatThereIsNoStatus(t *testing.T) {
	tr := newTrial(map[string]string{"XDG_RUNTIME_DIR": t.TempDir()})
	if code := tr.do(t, "beat", "status", "--socket", t.TempDir()+"/none.sock"); code != supervisor.ExitFailure {
		t.Errorf("exit code %d: %s", code, tr.err.String())
	}
}

func TestRecordsInRedisAreReadWithoutChangingThem(t *testing.T) {
	last, count, err := readRecord("1795508472983126 3 1 ca53c54a-0d70-522a-a98b-daa645c8475e")
	if err != nil || count != 3 || !last.Equal(time.UnixMicro(1795508472983126)) {
		t.Error(last, count, err)
	}
	for _, text := range []string{"", "1 2", "x 1 1 t"} {
		if _, _, err := readRecord(text); err == nil {
			t.Errorf("%q is a record", text)
		}
	}
}
