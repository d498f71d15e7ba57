//go:build integration

package integration

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// asks is what is asked of both workers, one after the other, with a task active, one
// reserved and one scheduled. The value is what the only worker replied.
var asks = []struct{ name, code string }{
	{"ping", `only(app.control.ping(timeout=3))`},
	{"active", `only(inspect.active())`},
	{"active, safe", `only(inspect.active(safe=True))`},
	{"reserved", `only(inspect.reserved())`},
	{"scheduled", `only(inspect.scheduled())`},
	{"query_task", `only(inspect.query_task(ids))`},
	{"query_task of nobody", `only(inspect.query_task("nobody"))`},
	{"registered", `only(inspect.registered())`},
	{"registered with attributes", `only(inspect.registered("rate_limit", "max_retries", "_private"))`},
	{"active_queues", `only(inspect.active_queues())`},
	{"conf", `only(inspect.conf())`},
	{"stats", `only(inspect.stats())`},
	{"clock", `only(inspect.clock())`},
	{"revoked", `only(inspect.revoked())`},
	{"memdump", `only(inspect.memdump())`},
	{"hello", `only(inspect.hello("somebody@else", ["foreign"]))`},
	{"revoked after hello", `only(inspect.revoked())`},
	{"an unknown command", `only(ask("no_such_command"))`},
	{"a missing argument", `only(ask("revoke"))`},
	{"two missing arguments", `only(ask("rate_limit"))`},
	{"an old name", `only(ask("dump_reserved"))`},
	{"by pattern", `only(app.control.broadcast("ping", pattern="*@*", matcher="glob", reply=True, limit=1))`},
	{"by another pattern", `app.control.broadcast("ping", pattern="nobody*", matcher="glob", reply=True, timeout=1)`},
	{"by regular expression", `only(app.control.broadcast("ping", pattern="[a-z0-9-]+@", matcher="pcre", reply=True, limit=1))`},
	{"to another", `app.control.ping(destination=["nobody@nowhere"], timeout=1)`},

	{"enable_events", `only(app.control.enable_events(reply=True, limit=1))`},
	{"enable_events again", `only(app.control.enable_events(reply=True, limit=1))`},
	{"disable_events", `only(app.control.disable_events(reply=True, limit=1))`},
	{"disable_events again", `only(app.control.disable_events(reply=True, limit=1))`},
	{"heartbeat", `only(app.control.heartbeat(reply=True, limit=1))`},
	{"rate_limit", `only(app.control.rate_limit("sample.echo", "100/m", reply=True, limit=1))`},
	{"registered with a rate limit", `[t for t in only(inspect.registered()) if "echo" in t]`},
	{"rate_limit off", `only(app.control.rate_limit("sample.echo", 0, reply=True, limit=1))`},
	{"rate_limit of nonsense", `only(app.control.rate_limit("sample.echo", "x/m", reply=True, limit=1))`},
	{"rate_limit of an unknown task", `only(app.control.rate_limit("sample.nothing", "1/s", reply=True, limit=1))`},
	{"time_limit", `only(app.control.time_limit("sample.echo", soft=60, hard=120, reply=True, limit=1))`},
	{"time_limit of an unknown task", `only(app.control.time_limit("sample.nothing", soft=1, reply=True, limit=1))`},
	{"pool_grow", `only(app.control.pool_grow(1, reply=True, limit=1))`},
	{"stats of a grown pool", `len(until(lambda: only(inspect.stats())["pool"]["processes"], lambda p: len(p) == 3))`},
	{"pool_shrink", `only(app.control.pool_shrink(1, reply=True, limit=1))`},
	{"pool_restart", `only(app.control.pool_restart(reply=True, limit=1))`},
	{"autoscale", `only(app.control.autoscale(4, 1, reply=True, limit=1))`},
	{"add_consumer", `only(app.control.add_consumer("extra", reply=True, limit=1))`},
	{"active_queues with another", `until(lambda: only(inspect.active_queues()), lambda q: len(q) == 4)`},
	{"cancel_consumer", `only(app.control.cancel_consumer("extra", reply=True, limit=1))`},
	{"active_queues without it", `len(until(lambda: only(inspect.active_queues()), lambda q: len(q) == 3))`},
	{"revoke", `only(app.control.revoke("some-id", reply=True, limit=1))`},
	{"revoke by stamp", `only(app.control.revoke_by_stamped_headers({"team": ["a", "b"]}, reply=True, limit=1))`},
	{"revoke by stamp as the command line", `only(ask("revoke_by_stamped_headers", headers=["team=c"]))`},
	{"terminate by stamp", `only(app.control.revoke_by_stamped_headers({"team": ["x"]}, terminate=True, reply=True, limit=1))`},
	{"terminate nobody", `only(app.control.terminate("nobody", reply=True, limit=1))`},
	{"terminate by a bad signal", `only(app.control.terminate("nobody", signal="SIGNOTHING", reply=True, limit=1))`},
	{"terminate by a small signal", `only(app.control.terminate("nobody", signal="term", reply=True, limit=1))`},
	{"a command of the app's own", `only(ask("double", number=21))`},
	{"an inspect command of the app's own", `only(ask("whoami_panel"))`},
	{"a command of the app's own that raises", `only(ask("broken_panel"))`},
}

// prelude is Python that the client needs for asks.
const prelude = `[__import__("builtins").__dict__.update(
	only=lambda replies: "NO REPLY" if not replies else next(iter(replies.values())) if isinstance(replies, dict) else next(iter(replies[0].values())),
	ask=lambda method, **arguments: app.control.broadcast(method, arguments=arguments, reply=True, timeout=20, limit=1),
	inspect=app.control.inspect(timeout=20, limit=1),
	until=lambda get, yes: next((v for v in (__import__("time").sleep(0.1) or get() for _ in range(100)) if yes(v)), "NEVER"),
), 1][1]`

// busy fills the worker: a task in each of two children, one reserved, one scheduled.
func busy(t *testing.T, s *harness.Stage) (ids []string) {
	for range 2 {
		ids = append(ids, s.Send(t, harness.T("sleepy", 600))) // longer than all questions take
	}
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "two tasks that run", func() bool {
		var n int
		return s.Client.Eval(`len(only(inspect.active()))`, &n) == nil && n == 2
	}))
	ids = append(ids, s.Send(t, harness.T("echo", "reserved")), s.Send(t, harness.T("echo", "later").With("countdown", 600)))
	harness.Must(t, harness.Until(harness.Deadline(t, 30*time.Second), "one reserved, one scheduled", func() bool {
		var n int
		return s.Client.Eval(`len(only(inspect.reserved())) + len(only(inspect.scheduled()))`, &n) == nil && n == 2
	}))
	return ids
}

// replies plays all asks against one worker.
func replies(t *testing.T, options harness.Options, start func(*harness.Stage, *testing.T, ...string) *harness.Worker) map[string]any {
	s := harness.NewStage(t, options)
	start(s, t, "-c", "2", "--prefetch-multiplier", "4")
	var ignored any
	harness.Must(t, s.Client.Eval(prelude, &ignored))
	ids := busy(t, s)
	harness.Must(t, s.Client.Eval(fmt.Sprintf(`[__import__("builtins").__dict__.update(ids=["%s"]), 1][1]`, strings.Join(ids, `","`)), &ignored))
	got := map[string]any{}
	for _, row := range asks {
		var value any
		if err := s.Client.Eval(row.code, &value); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		got[row.name] = normal(value, ids)
	}
	return got
}

// What differs between any two runs, by the name of the member.
var volatileReplies = map[string]bool{
	"pid": true, "worker_pid": true, "time_start": true, "clock": true, "uptime": true, "rusage": true, "processes": true,
	"eta": true, "port": true, "hostname": true, "total": true,
}

var pythonID = regexp.MustCompile(`0x[0-9a-f]+|127\.0\.0\.1:\d+|stock[\d-]+@\S+|celery@[\w.-]+`)

// normal replaces what cannot be the same twice by its type.
func normal(value any, ids []string) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			if volatileReplies[key] {
				member = fmt.Sprintf("%T", member)
			}
			out[normal(key, ids).(string)] = normal(member, ids)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = normal(v[i], ids)
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) // Python's sets have no order
		return out
	case string:
		for i, id := range ids {
			v = strings.ReplaceAll(v, id, fmt.Sprintf("ID%d", i))
		}
		if strings.HasPrefix(v, "tasks {") {
			parts := strings.Split(strings.NewReplacer("{", "", "}", "", `"'"`, "", "'{'", "", "'}'", "").Replace(v), ", ")
			slices.Sort(parts)
			return len(strings.Join(parts, ""))
		}
		return pythonID.ReplaceAllString(v, "X")
	}
	return value
}

// better are replies of the oldest Celery that differ with a reason: ours are those
// of the newest.
var better = map[string]string{
	"newest pool_shrink":     "Celery can only shrink by a child that is idle just then; here a busy one leaves after its task",
	"oldest pool_shrink":     "as above",
	"oldest query_task":      "before 5.7 Celery does not find scheduled tasks",
	"oldest hello":           "before 5.7 Celery tells its own clock's times too, which mean nothing elsewhere; it understands both",
	"oldest revoke by stamp": "this client sends a dict where a task id belongs, and Celery prints the set of its letters",
}

func TestRepliesAreThoseOfCelery(t *testing.T) {
	t.Parallel()
	for _, version := range []struct {
		name    string
		options harness.Options
	}{{"newest", harness.Options{}}, {"oldest", harness.Old(t)}} {
		t.Run(version.name, func(t *testing.T) {
			stock := replies(t, version.options, (*harness.Stage).Stock)
			crisper := replies(t, version.options, (*harness.Stage).Crisper)
			for _, row := range asks {
				if reason := better[version.name+" "+row.name]; reason != "" {
					t.Logf("%s: %s", row.name, reason)
					continue
				}
				t.Run(row.name, func(t *testing.T) {
					if diff := cmp.Diff(stock[row.name], crisper[row.name]); diff != "" {
						t.Errorf("Celery (-) and Crisper (+) differ:\n%s", diff)
					}
				})
			}
		})
	}
}

// silence is the exit code of Celery's commands when nobody replied. They wait one
// second, which on a busy machine is no time.
const silence = 69

// celery runs a command of Celery's own and returns what it prints.
func celery(t *testing.T, s *harness.Stage, args ...string) string {
	t.Helper()
	line := append([]string{filepath.Join(filepath.Dir(s.Python), "celery"), "-A", "sample"}, args...)
	out, code, err := "", silence, error(nil)
	for try := 0; code == silence && try < 8; try++ {
		out, code, err = s.Run(harness.Deadline(t, 60*time.Second), harness.Command{Name: "celery-command", Args: line, Env: s.Env(s.App)})
		harness.Must(t, err)
	}
	if code != 0 {
		t.Errorf("celery %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func TestCelerysOwnCommandsSpeakToUs(t *testing.T) {
	t.Parallel()
	for _, version := range []struct {
		name    string
		options harness.Options
	}{{"newest", harness.Options{}}, {"oldest", harness.Old(t)}} {
		t.Run(version.name, func(t *testing.T) {
			t.Parallel()
			s := harness.NewStage(t, version.options)
			w := s.Crisper(t, "-c", "1")
			for _, row := range []struct {
				args []string
				want string
			}{
				{[]string{"status"}, "1 node online"},
				{[]string{"inspect", "ping"}, "pong"},
				{[]string{"inspect", "stats"}, "max-concurrency"},
				{[]string{"inspect", "report"}, "celery:"},
				{[]string{"inspect", "registered"}, "sample.add"},
				{[]string{"inspect", "active_queues"}, "emails"},
				{[]string{"control", "rate_limit", "sample.add", "10/m"}, "new rate limit set successfully"},
				{[]string{"control", "time_limit", "sample.add", "10", "20"}, "time limits set successfully"},
				{[]string{"control", "add_consumer", "more"}, "add consumer more"},
				{[]string{"control", "pool_grow", "1"}, "pool will grow"},
				{[]string{"control", "enable_events"}, "task events enabled"},
			} {
				if out := celery(t, s, row.args...); !strings.Contains(out, row.want) {
					t.Errorf("celery %v printed\n%s", row.args, out)
				}
			}
			var ignored any
			harness.Must(t, s.Client.Eval(`app.control.shutdown()`, &ignored))
			code, _, err := w.Wait(harness.Deadline(t, 30*time.Second))
			harness.Must(t, err)
			if code != 0 {
				t.Errorf("exit code %d after a remote shutdown", code)
			}
		})
	}
}
