package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"crisper/beat/ops"
	"crisper/integration/bench/proctree"
	"crisper/integration/harness"
)

// replica is a seat of the set, as a pod is: its container may be started again in it.
type replica struct {
	set     *set
	name    string
	binary  string
	env     []string
	via     *proxy // to the API server; nil when there is none
	args    []string
	http    string
	process *harness.Process
}

// start starts the container, again after its end.
func (r *replica) start() error {
	port, err := harness.FreePort()
	if err != nil {
		return err
	}
	r.http = "127.0.0.1:" + strconv.Itoa(port)
	bed := r.set.bed
	args := append([]string{r.binary, "beat", "-A", "ticks", "--python", bed.Python, "--http", r.http, "--socket", "off",
		"--log-format", "json", "--loglevel", "INFO", "--lease-name", leaseName}, r.args...)
	env := []string{
		"PYTHONPATH=" + filepath.Join(bed.Root, "integration", "chaosbeat", "app"),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "CELERY_BROKER_URL=" + r.set.broker.url(),
	}
	r.process, err = bed.Start(harness.Command{Name: r.name, Args: args, Env: append(append(env, r.set.broker.env()...), r.env...)})
	return err
}

// tree are the container's processes.
func (r *replica) tree() []int { return proctree.PIDs(r.process.PID()) }

// state is /state; an error when it does not answer soon.
func (r *replica) state(ctx context.Context) (ops.State, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var s ops.State
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.http+"/state", nil)
	if err != nil {
		return s, fmt.Errorf("cannot ask %s for its state: %w", r.name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, fmt.Errorf("cannot ask %s for its state: %w", r.name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("cannot ask %s for its state: %s", r.name, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("cannot read the state of %s: %w", r.name, err)
	}
	return s, nil
}

// left waits for the end after TERM, and wants exit code 0 in good time.
func (r *replica) left(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	code, _, err := r.process.Wait(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s exited with %d after TERM", r.name, code)
	}
	return err
}
