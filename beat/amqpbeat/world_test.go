package amqpbeat

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/broker"
	"crisper/broker/amqpbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBroker is a broker in memory with the faults of a real one.
type fakeBroker struct {
	mu    sync.Mutex // guards all below
	sent  map[string][]string
	away  bool                           // messages do not arrive
	mute  bool                           // confirms do not come
	fates map[string][]amqpbroker.Result // by routing key: the next ones
	hook  func()                         // called before messages arrive, without the lock
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{sent: map[string][]string{}, fates: map[string][]amqpbroker.Result{}}
}

func (f *fakeBroker) set(flag *bool, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*flag = on
}

func (f *fakeBroker) Close() error { return nil }

func (f *fakeBroker) Publish(ctx context.Context, batch []amqpbroker.Message) ([]amqpbroker.Result, error) {
	if f.hook != nil {
		f.hook()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	results := make([]amqpbroker.Result, len(batch))
	if ctx.Err() != nil || f.away {
		return results, fmt.Errorf("%w: away", broker.ErrUnavailable)
	}
	for i, m := range batch {
		results[i] = f.take(m)
	}
	for _, r := range results {
		if r.Fate == amqpbroker.Unknown {
			return results, fmt.Errorf("%w: the connection was lost", broker.ErrUnavailable)
		}
	}
	if f.mute {
		return make([]amqpbroker.Result, len(batch)), fmt.Errorf("%w: no confirm", broker.ErrUnavailable)
	}
	return results, nil
}

func (f *fakeBroker) take(m amqpbroker.Message) amqpbroker.Result {
	if next := f.fates[m.RoutingKey]; len(next) > 0 {
		f.fates[m.RoutingKey] = next[1:]
		if next[0].Fate != amqpbroker.Confirmed {
			return next[0]
		}
	}
	if m.RoutingKey == "" {
		return amqpbroker.Result{Fate: amqpbroker.Returned}
	}
	f.sent[m.RoutingKey] = append(f.sent[m.RoutingKey], m.Publishing.CorrelationId)
	return amqpbroker.Result{Fate: amqpbroker.Confirmed}
}

// faultyStore fails on command, before or after a swap is carried out.
type faultyStore struct {
	Store
	mu         sync.Mutex // guards all below
	away, mute bool
	swaps      int
	bytes      int
	hook       func(swap int) // called before each swap, without the lock
}

func (s *faultyStore) fault() (before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		before = fmt.Errorf("%w: the store is away", beat.ErrUnavailable)
	}
	if s.mute {
		after = fmt.Errorf("%w: the store's answer is lost", beat.ErrUnavailable)
	}
	return before, after
}

func (s *faultyStore) Load(ctx context.Context) ([]byte, string, error) {
	before, after := s.fault()
	if before != nil {
		return nil, "", before
	}
	text, version, err := s.Store.Load(ctx)
	if err == nil && after != nil {
		return nil, "", after
	}
	return text, version, err
}

func (s *faultyStore) Swap(ctx context.Context, text []byte, version string) (string, error) {
	s.mu.Lock()
	s.swaps, s.bytes = s.swaps+1, s.bytes+len(text)
	n := s.swaps
	s.mu.Unlock()
	if s.hook != nil {
		s.hook(n)
	}
	before, after := s.fault()
	if before != nil {
		return "", before
	}
	version, err := s.Store.Swap(ctx, text, version)
	if err == nil && after != nil {
		return "", after
	}
	return version, err
}

// world is a broker in memory and a store of some kind. Faults are of both.
type world struct {
	broker *fakeBroker
	store  func() Store // for each replica its own
	faults []*faultyStore
}

func (w *world) Connect(testing.TB) beat.Publisher {
	s := &faultyStore{Store: w.store()}
	w.faults = append(w.faults, s)
	return New(w.broker, Config{Store: s})
}

func (w *world) Sent(_ testing.TB, queue string) []string {
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	return append([]string(nil), w.broker.sent[queue]...)
}

// storeWorld has the faults of its store, brokerWorld those of its broker.
type (
	storeWorld  struct{ *world }
	brokerWorld struct{ *world }
)

func (w storeWorld) stores(change func(*faultyStore, bool)) func() {
	each := func(on bool) {
		for _, s := range w.faults {
			s.mu.Lock()
			change(s, on)
			s.mu.Unlock()
		}
	}
	each(true)
	return func() { each(false) }
}

func (w storeWorld) LoseAnswers(testing.TB) func() {
	return w.stores(func(s *faultyStore, on bool) { s.mute = on })
}
func (w storeWorld) Cut(testing.TB) func() {
	return w.stores(func(s *faultyStore, on bool) { s.away = on })
}
func (w storeWorld) HalfOpen(t testing.TB) func() { return w.Cut(t) }

func (w brokerWorld) fault(flag *bool) func() {
	w.broker.set(flag, true)
	return func() { w.broker.set(flag, false) }
}
func (w brokerWorld) LoseAnswers(testing.TB) func() { return w.fault(&w.broker.mute) }
func (w brokerWorld) Cut(testing.TB) func()         { return w.fault(&w.broker.away) }
func (w brokerWorld) HalfOpen(testing.TB) func()    { return w.fault(&w.broker.away) }

const (
	doubles = "a tick whose confirm was lost is sent again with the same task id"
	races   = "a tick that another has claimed and not recorded yet is in doubt"
)

func fileWorld(t testing.TB) *world {
	path := filepath.Join(t.TempDir(), "records")
	return &world{broker: newFakeBroker(), store: func() Store { return &FileStore{Path: path, Pace: time.Nanosecond} }}
}

func kubeWorld(t testing.TB) *world {
	k := newFakeKube(t)
	return &world{broker: newFakeBroker(), store: func() Store { return k.store(t) }}
}

func TestConformance(t *testing.T) {
	for name, create := range map[string]func(testing.TB) *world{"file": fileWorld, "ConfigMap": kubeWorld} {
		t.Run(name+", faults of the store", func(t *testing.T) {
			beattest.Exercise(t, beattest.Harness{Races: races, New: func(t *testing.T) beattest.World { return storeWorld{create(t)} }})
		})
		t.Run(name+", faults of the broker", func(t *testing.T) {
			beattest.Exercise(t, beattest.Harness{Doubles: doubles, Races: races, New: func(t *testing.T) beattest.World { return brokerWorld{create(t)} }})
		})
	}
}

// fakeKube serves ConfigMaps as the API server does, with resource versions.
type fakeKube struct {
	server *httptest.Server

	mu      sync.Mutex // guards all below
	maps    map[string]corev1.ConfigMap
	version int
	refuse  map[string]bool // HTTP methods that RBAC does not allow
	writes  int
	bytes   int
}

func newFakeKube(t testing.TB) *fakeKube {
	k := &fakeKube{maps: map[string]corev1.ConfigMap{}, refuse: map[string]bool{}}
	k.server = httptest.NewServer(k)
	t.Cleanup(k.server.Close)
	return k
}

func (k *fakeKube) store(t testing.TB) *KubeStore {
	// A token of its own keeps client-go from sharing connections between servers.
	store, err := NewKubeStore(&rest.Config{Host: k.server.URL, QPS: -1, BearerToken: rand.Text()}, "ns", "beat")
	if err != nil {
		t.Fatal(err)
	}
	store.Pace, store.Patience = time.Nanosecond, time.Nanosecond
	return store
}

func (k *fakeKube) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/ns/configmaps"), "/")
	if k.refuse[r.Method] {
		status(w, http.StatusForbidden, "Forbidden", fmt.Sprintf("configmaps %q is forbidden", name))
		return
	}
	var m corev1.ConfigMap
	var raw bytes.Buffer
	if r.Method != http.MethodGet {
		if _, err := raw.ReadFrom(r.Body); err != nil || json.Unmarshal(raw.Bytes(), &m) != nil {
			status(w, http.StatusBadRequest, "BadRequest", "no ConfigMap")
			return
		}
		name = m.Name
		k.writes, k.bytes = k.writes+1, k.bytes+len(m.BinaryData[dataKey])
	}
	stored, exists := k.maps[name]
	switch {
	case r.Method == http.MethodPost && exists:
		status(w, http.StatusConflict, "AlreadyExists", "it exists")
	case r.Method != http.MethodPost && !exists:
		status(w, http.StatusNotFound, "NotFound", "there is none")
	case r.Method == http.MethodPut && m.ResourceVersion != stored.ResourceVersion:
		status(w, http.StatusConflict, "Conflict", "the object has been modified")
	case len(m.BinaryData[dataKey]) > 1<<20:
		status(w, http.StatusUnprocessableEntity, "Invalid", "too long: must have at most 1048576 bytes")
	case r.Method == http.MethodGet:
		answer(w, stored)
	default:
		k.version++
		m.ResourceVersion = fmt.Sprint(k.version)
		m.Namespace = "ns"
		k.maps[name] = m
		answer(w, m)
	}
}

func answer(w http.ResponseWriter, m corev1.ConfigMap) {
	m.Kind, m.APIVersion = "ConfigMap", "v1"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(m)
}

func status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message})
}
