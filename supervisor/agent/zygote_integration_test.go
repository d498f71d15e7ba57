//go:build integration && linux

package agent

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestAnAppThatDoesNotLoadIsLoud(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		for _, c := range []struct {
			app       string
			extra     []string
			headline  string
			traceback string
			usage     bool // what was typed is wrong: a traceback through Celery says nothing about it
		}{
			{"nowhere", nil, "Unable to load celery application. The module nowhere was not found.", "ModuleNotFoundError", false},
			{"broken", nil, "ModuleNotFoundError: No module named 'a_module_that_is_not_there'", "import a_module_that_is_not_there", false},
			{"plain:missing", nil, "Unable to load celery application. The module plain:missing was not found.", "has no attribute 'missing'", false},
			{"leaving", nil, "SystemExit: no database", "sys.exit('no database')", false},
			{"plain", []string{"--no-such-option"}, "no-such-option", "NoSuchOption", true},
			{"plain", []string{"no_such_setting=1"}, "Unable to parse extra configuration from command line. Reason:", "config_from_cmdline", true},
		} {
			t.Run(c.app+strings.Join(c.extra, ""), func(t *testing.T) {
				r := launch(t, python, Options{App: c.app, Extra: c.extra})
				failed, ok := r.event().(FailedEvent)
				if !ok {
					t.Fatal("it did load")
				}
				if got := failed.Err.Error(); !strings.Contains(got, c.headline) || strings.Contains(got, "\n") {
					t.Errorf("the error is %q, want %q", got, c.headline)
				}
				if !strings.Contains(failed.Traceback, c.traceback) {
					t.Errorf("the traceback is %s", failed.Traceback)
				}
				if e, ok := r.event().(ExitedEvent); !ok || e.Status != "exit status 4" {
					t.Errorf("got %#v", e)
				}
				if strings.Contains(r.stderr.String(), c.traceback) == c.usage {
					t.Errorf("wrong usage: %t, and stderr is: %s", c.usage, r.stderr)
				}
			})
		}
	})
}

func TestInfoDescribesTheApp(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{
			App: "plain", Hostname: "w1@%h", Broker: "redis://user:secret@broker.invalid:6380/3;redis://other/0",
			Worker: map[string]any{"concurrency": 5, "queues": []string{"a", "b"}, "loglevel": "INFO", "autoscale": []int{8, 2}, "soft_time_limit": 2.5},
			Extra:  []string{"worker_max_tasks_per_child=9"},
		})
		i := r.info
		if !strings.HasPrefix(i.Hostname, "w1@") || strings.Contains(i.Hostname, "%") {
			t.Errorf("hostname %q", i.Hostname)
		}
		if got := i.Broker.URLs; !slices.Equal(got, []string{"redis://user:secret@broker.invalid:6380/3", "redis://other/0"}) {
			t.Errorf("broker URLs %q", got)
		}
		for name, want := range map[string]string{
			"concurrency": "5", "loglevel": "20", "autoscale": "[8,2]", "soft_time_limit": "2.5", "max_tasks_per_child": "9",
			"pool_cls": `"celery.concurrency.prefork:TaskPool"`,
		} {
			if got := strings.ReplaceAll(string(i.Worker[name]), " ", ""); got != want {
				t.Errorf("worker %s is %s, want %s", name, got, want)
			}
		}
		var queues []string
		for _, q := range i.Queues {
			queues = append(queues, q.Name)
		}
		if slices.Sort(queues); !slices.Equal(queues, []string{"a", "b"}) {
			t.Errorf("queues %q", queues)
		}
		if late := i.Tasks["plain.again"]; !late.AcksLate || !late.RejectOnWorkerLost || !late.AcksOnFailure {
			t.Errorf("plain.again is %+v", late)
		}
		if i.Receivers["worker_process_init"] == 0 || i.Receivers["heartbeat_sent"] != 0 {
			t.Errorf("receivers %v", i.Receivers)
		}
		if !slices.Equal(i.Accept, []string{"application/json"}) || len(i.Needs) != 0 || len(i.Threads) != 0 || len(i.Sockets) != 0 {
			t.Errorf("accept %q needs %q threads %q sockets %q", i.Accept, i.Needs, i.Threads, i.Sockets)
		}
		if i.RSSBytes == 0 || i.PreloadSeconds == 0 || i.Celery == "" || string(i.Conf["task_default_queue"]) != `"celery"` {
			t.Errorf("rss %d, preload %v, celery %q, conf %s", i.RSSBytes, i.PreloadSeconds, i.Celery, i.Conf["task_default_queue"])
		}
	})
}

func TestHandlersHaveTheirSayBeforeInfoIsMade(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "handlers"})
		if got := string(r.info.Worker["max_tasks_per_child"]); got != "7" {
			t.Errorf("max_tasks_per_child %s", got)
		}
		if got := string(r.info.Worker["soft_time_limit"]); got != "3" {
			t.Errorf("soft_time_limit %s", got)
		}
		if n := len(r.info.Queues); n != 2 {
			t.Errorf("%d queues, want celery and extra", n)
		}
		got := r.fork("executor").run(message("handlers.seen", "1")).Result
		want := "['celeryd_init', 'worker_init', 'celeryd_after_setup', 'worker_before_create_process', 'worker_process_init']"
		if got != want {
			t.Errorf("the order was %s, want %s", got, want)
		}
	})
}

func TestWhatForkingWouldBreakIsNamed(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "threaded"})
		if !slices.Equal(r.info.Threads, []string{"poller"}) {
			t.Errorf("threads %q", r.info.Threads)
		}
		if len(r.info.Sockets) != 2 || !strings.Contains(strings.Join(r.info.Sockets, " "), "connected to 127.0.0.1:") {
			t.Errorf("sockets %q", r.info.Sockets)
		}
		refused, ok := launch(t, python, Options{App: "threaded", Threads: "refuse"}).event().(FailedEvent)
		if !ok || !strings.Contains(refused.Err.Error(), "thread poller") {
			t.Errorf("got %v", refused.Err)
		}
	})
}

func TestWhatOnlyCeleryHasIsNamed(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "custom", Worker: map[string]any{"pool": "threads"}})
		all := strings.Join(r.info.Needs, "\n")
		for _, want := range []string{
			"consumer bootsteps: custom:Step", "the pool is celery.concurrency.thread:TaskPool",
			"worker_consumer is custom:Consumer", "task custom.special has its own Request class: custom:MyRequest",
			"broker_transport_options['hook']",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("%q is not in:\n%s", want, all)
			}
		}
		if strings.Contains(all, "secret") {
			t.Error("the password is in it")
		}
		if r := load(t, python, Options{App: "plain", Broker: "amqp://localhost//", Only: "info"}); !strings.Contains(strings.Join(r.info.Needs, ""), "the broker transport is amqp") {
			t.Errorf("needs %q", r.info.Needs)
		}
	})
}

func TestInfoOnlyLeaves(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "plain", Only: "info"})
		if e, ok := r.event().(ExitedEvent); !ok || e.Status != "exit status 0" {
			t.Errorf("got %#v", e)
		}
	})
}

func TestEveryInfoIsJSONWhateverTheSettingsHold(t *testing.T) {
	eachPython(t, func(t *testing.T, python string) {
		r := load(t, python, Options{App: "custom"})
		var opaque struct {
			Hook struct {
				Repr string `json:"__opaque__"`
			}
		}
		if err := json.Unmarshal(r.info.Conf["broker_transport_options"], &opaque); err != nil || !strings.Contains(opaque.Hook.Repr, "print") {
			t.Errorf("broker_transport_options %s, %v", r.info.Conf["broker_transport_options"], err)
		}
	})
}
