//go:build integration

package integration

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"crisper/integration/harness"
)

// What a task must find of a database connection that was open when its process was
// forked; see sample/shop.
var closedByTheFixup = map[string]any{
	"forked":                             true,
	"has the parent's connection":        true,
	"its descriptor is open":             true,
	"the parent's descriptor was closed": true,
	"a new connection is asked for":      true,
	"connection before a task":           false,
	"the answer":                         42.0,
}

func TestDjangosConnectionsAreClosedAsCeleryClosesThem(t *testing.T) {
	for _, kind := range []struct {
		name  string
		start func(*harness.Stage, *testing.T, ...string) *harness.Worker
	}{{"stock", (*harness.Stage).Stock}, {"crisper", (*harness.Stage).Crisper}} {
		t.Run(kind.name, func(t *testing.T) {
			s := harness.NewStage(t, harness.Observers(t))
			s.App.Name, s.App.Env = "shop", []string{"SHOP_DATABASE=" + filepath.Join(s.Dir, "shop.sqlite3")}
			client, err := s.StartClient(s.App)
			harness.Must(t, err)
			kind.start(s, t, "-c", "1")
			for run := range 3 { // a connection is closed after each task, and opened by the next
				var found map[string]any
				harness.Must(t, client.Eval(`__import__("shop.tasks").tasks.look.delay().get(timeout=60)`, &found))
				if diff := cmp.Diff(closedByTheFixup, found); diff != "" {
					t.Errorf("run %d: wanted (-) and found (+):\n%s", run, diff)
				}
			}
			var kinds []string
			harness.Must(t, client.Eval(`__import__("shop.tasks").tasks.kind.delay().get(timeout=60)`, &kinds))
			if want := "[celery.contrib.django.task.DjangoTask celery.app.task.Task]"; fmt.Sprint(kinds[len(kinds)-2:]) != want {
				t.Errorf("the task's classes are %v", kinds)
			}
		})
	}
}
