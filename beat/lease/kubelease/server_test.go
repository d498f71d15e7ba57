package kubelease_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiServer keeps Leases as a real one does as far as an election can tell: resource
// versions, conflicts, statuses. What it does not know it answers with 404.
type apiServer struct {
	mu      sync.Mutex
	leases  map[string]coordination.Lease
	version int
	deny    map[string]bool // verbs
	status  int             // for every request, if not 0
	seen    []string        // verbs
}

func newServer(t testing.TB) (*apiServer, *rest.Config) {
	s := &apiServer{leases: map[string]coordination.Lease{}, version: 100, deny: map[string]bool{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, &rest.Config{Host: server.URL}
}

// pipedServer is one whose connections are pipes in memory, so that it can live in a
// bubble with time of its own.
func pipedServer(t testing.TB) (*apiServer, *rest.Config) {
	s := &apiServer{leases: map[string]coordination.Lease{}, version: 100, deny: map[string]bool{}}
	pipes := pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(pipes) }()
	t.Cleanup(func() { _ = server.Close() })
	return s, &rest.Config{Host: "http://api.test", Dial: pipes.dial}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipeListener) Close() error {
	close(p.closed)
	return nil
}

func (p pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func (p pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

const root = "/apis/coordination.k8s.io/v1/namespaces/prod/leases"

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, root), "/")
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update"}[r.Method]
	s.seen = append(s.seen, verb)
	switch {
	case s.status != 0:
		fail(w, s.status, meta.StatusReasonUnknown, "out of order")
	case !strings.HasPrefix(r.URL.Path, root) || verb == "":
		fail(w, http.StatusNotFound, meta.StatusReasonNotFound, "namespaces not found")
	case s.deny[verb]:
		fail(w, http.StatusForbidden, meta.StatusReasonForbidden, fmt.Sprintf("leases %q is forbidden: User cannot %s", name, verb))
	case verb == "get":
		s.get(w, name)
	default:
		s.write(w, r, name)
	}
}

func (s *apiServer) get(w http.ResponseWriter, name string) {
	if l, ok := s.leases[name]; ok {
		respond(w, http.StatusOK, l)
		return
	}
	fail(w, http.StatusNotFound, meta.StatusReasonNotFound, fmt.Sprintf("leases %q not found", name))
}

func (s *apiServer) write(w http.ResponseWriter, r *http.Request, name string) {
	l, err := decode(r)
	if err != nil {
		fail(w, http.StatusBadRequest, meta.StatusReasonBadRequest, err.Error())
		return
	}
	old, there := s.leases[l.Name]
	switch {
	case l.Spec.LeaseDurationSeconds == nil || *l.Spec.LeaseDurationSeconds <= 0:
		fail(w, http.StatusUnprocessableEntity, meta.StatusReasonInvalid, "leaseDurationSeconds must be greater than 0")
	case name == "" && there:
		fail(w, http.StatusConflict, meta.StatusReasonAlreadyExists, "already exists")
	case name != "" && !there:
		fail(w, http.StatusNotFound, meta.StatusReasonNotFound, "not found")
	case name != "" && old.ResourceVersion != l.ResourceVersion:
		fail(w, http.StatusConflict, meta.StatusReasonConflict, "the object has been modified")
	default:
		s.put(l)
		respond(w, http.StatusOK, *l)
	}
}

// decode reads JSON and protobuf: client-go sends the latter.
func decode(r *http.Request) (*coordination.Lease, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, err
	}
	l, ok := object.(*coordination.Lease)
	if !ok {
		return nil, fmt.Errorf("%T is no Lease", object)
	}
	return l, nil
}

// put gives the object the next version, unless nothing has changed.
func (s *apiServer) put(l *coordination.Lease) {
	old, _ := json.Marshal(s.leases[l.Name])
	if now, _ := json.Marshal(l); string(now) != string(old) {
		s.version++
		l.ResourceVersion = strconv.Itoa(s.version)
	}
	s.leases[l.Name] = *l
}

func respond(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, code int, reason meta.StatusReason, message string) {
	respond(w, code, meta.Status{
		TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   meta.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

// with lets a test change the server.
func (s *apiServer) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}
