package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"crisper/broker/redisbroker"
)

// clockFor bounds one question for the time.
const clockFor = 2 * time.Second

// redisClock asks the broker for the time, by a connection of its own.
type redisClock struct {
	access *redisbroker.Access

	mu     sync.Mutex
	client *redis.Client // nil: none
	node   int
}

func newRedisClock(cfg redisbroker.Config) (*redisClock, error) {
	access, err := redisbroker.NewAccess(cfg)
	return &redisClock{access: access}, err
}

func (c *redisClock) ask(ctx context.Context) (time.Time, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, clockFor)
	defer cancel()
	if c.client == nil {
		client, err := c.access.Open(ctx, c.node, clockFor)
		if err != nil {
			c.node = (c.node + 1) % c.access.Nodes()
			return time.Time{}, 0, err
		}
		c.client = client
		_ = client.Ping(ctx).Err() // the way to be measured is not that of connecting; Time tells the error
	}
	now, err := c.client.Time(ctx).Result()
	if err != nil {
		_ = c.client.Close() // a failure is being reported already
		c.client, c.node = nil, (c.node+1)%c.access.Nodes()
		return time.Time{}, 0, fmt.Errorf("cannot ask %s for the time: %w", c.access.Server(c.node), c.access.Classify(err))
	}
	return now, 0, nil
}

func (c *redisClock) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		_ = c.client.Close()
		c.client = nil
	}
}

// api is the API server, for what is not the Lease: records, and the time.
type api struct {
	config    *rest.Config
	web       *http.Client
	namespace string
}

// reachAPI finds it as the Lease does.
func reachAPI(kubeconfig, namespace string) (*api, error) {
	a := &api{namespace: namespace}
	var err error
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}, nil)
	if kubeconfig == "" {
		a.config, err = rest.InClusterConfig()
	} else {
		a.config, err = loader.ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach the API server: %w", err)
	}
	if a.namespace == "" { // in a pod the loader finds that of the service account
		if a.namespace, _, err = loader.Namespace(); err != nil {
			return nil, fmt.Errorf("cannot find the namespace: %w", err)
		}
	}
	a.config.UserAgent = "crisper-beat"
	if a.web, err = rest.HTTPClientFor(a.config); err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", a.config.Host, err)
	}
	return a, nil
}

// clock reads the time in the head of an answer: to the second, which finds a clock
// that is wrong, and leaves one that is right as it is.
func (a *api) clock(ctx context.Context) (time.Time, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, clockFor)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.config.Host+"/version", nil)
	if err != nil {
		return time.Time{}, 0, err
	}
	response, err := a.web.Do(request)
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("cannot ask the API server for the time: %w", err)
	}
	_ = response.Body.Close() // only the head matters
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("cannot read the API server's time: %w", err)
	}
	return date.Add(time.Second / 2), time.Second / 2, nil
}
