package lease

import (
	"errors"
	"fmt"
	"strings"

	"crisper/beat/lease/filelease"
	"crisper/beat/lease/kubelease"
	"crisper/beat/lease/redislease"

	"github.com/redis/go-redis/v9"
)

// Kinds of backends.
const (
	Kubernetes = "kubernetes"
	File       = "file"
	Redis      = "redis"
)

// DefaultName is that of the Lease, and of the key in Redis behind its prefix.
const DefaultName = "crisper-beat"

// Spec says where the Lease is kept. Fields of other kinds are ignored.
type Spec struct {
	Kind       string // by default kubernetes in a cluster, file elsewhere
	Name       string // DefaultName if empty
	Namespace  string // Kubernetes: by default the service account's, or the context's
	Kubeconfig string // Kubernetes: by default a pod's own way
	Path       string // file: celerybeat-lease if empty, as Celery has celerybeat-schedule
	RedisURL   string // Redis: a URL that go-redis reads (redis, rediss, unix) …
	Redis      *redis.Options
	Client     redis.UniversalClient // … or options, or a client that stays the caller's
}

// DefaultKind is the one that Spec has when it names none.
func (s Spec) DefaultKind() string {
	if s.Kubeconfig != "" || kubelease.InCluster() {
		return Kubernetes
	}
	return File
}

// Open makes the backend. It talks to nobody yet.
func Open(s Spec) (Backend, error) {
	kind := s.Kind
	if kind == "" {
		kind = s.DefaultKind()
	}
	if s.Name == "" {
		s.Name = DefaultName
	}
	backend, err := s.open(kind)
	if err != nil {
		return nil, fmt.Errorf("cannot elect by %s: %w", kind, err)
	}
	return backend, nil
}

func (s Spec) open(kind string) (Backend, error) {
	switch kind {
	case Kubernetes:
		return asBackend(kubelease.Open(s.Kubeconfig, s.Namespace, s.Name))
	case File:
		path := s.Path
		if path == "" {
			path = "celerybeat-lease"
		}
		return asBackend(filelease.Open(path))
	case Redis:
		return s.openRedis()
	}
	return nil, fmt.Errorf("it is none of %s", strings.Join([]string{Kubernetes, File, Redis}, ", "))
}

// asBackend keeps a nil pointer from becoming a Backend that is not nil.
func asBackend[B Backend](b B, err error) (Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (s Spec) openRedis() (Backend, error) {
	switch {
	case s.Client != nil:
		return redislease.New(s.Client, s.Name), nil
	case s.Redis != nil:
		return redislease.Open(*s.Redis, s.Name), nil
	case s.RedisURL == "":
		return nil, errors.New("it needs the URL of a Redis")
	}
	opts, err := redis.ParseURL(s.RedisURL)
	if err != nil {
		// The error of url.Parse has the URL in it, and so the password.
		return nil, errors.New("its URL cannot be read (redis://, rediss:// or unix:// is expected)")
	}
	return redislease.Open(*opts, s.Name), nil
}
