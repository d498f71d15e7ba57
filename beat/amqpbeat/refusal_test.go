package amqpbeat

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"crisper/broker"
)

// refusedFor plays an API server that says no now, and did so before.
func refusedFor(t *testing.T, kube *fakeKube, store *KubeStore, before time.Duration) error {
	t.Helper()
	kube.refuse[http.MethodGet] = true
	_, _, _ = store.Load(t.Context())
	r := store.refused["get"]
	r.since = r.since.Add(-before)
	store.refused["get"] = r
	_, _, err := store.Load(t.Context())
	return err
}

func TestARefusalIsBelievedWhenItHasLasted(t *testing.T) {
	for _, row := range []struct {
		name      string
		allowed   bool
		before    time.Duration
		believed  bool
		unanswers bool // and in between nobody could be asked
	}{
		{"never allowed, for a moment", false, 9 * time.Second, false, false},
		{"never allowed, for long", false, 11 * time.Second, true, false},
		{"allowed before, for long", true, 11 * time.Second, false, false},
		{"allowed before, for very long", true, 61 * time.Second, true, false},
		{"by two servers", false, 11 * time.Second, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			kube := newFakeKube(t)
			store := kube.store(t)
			store.Patience = 0 // what users have
			if row.allowed {
				if _, _, err := store.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			err := refusedFor(t, kube, store, row.before)
			if row.unanswers {
				_ = store.failed("get", errors.New("connection refused"))
				_, _, err = store.Load(t.Context())
			}
			if got := errors.Is(err, broker.ErrRefused); got != row.believed {
				t.Errorf("believed is %v: %v", got, err)
			}
		})
	}
}
