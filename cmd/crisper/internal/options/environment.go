package options

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"crisper/supervisor"
)

// fromEnvironment reads the variables that Celery's worker reads by itself
// (celery/worker/state.py, celery/worker/autoscale.py). A value that Celery could not
// read keeps its worker from starting; here as well.
func fromEnvironment(cfg *supervisor.Config, getenv func(string) string) []error {
	var problems []error
	read := func(name, want string, into func(text string) bool) {
		if text := strings.TrimSpace(getenv(name)); text != "" && !into(strings.ReplaceAll(text, "_", "")) { // Python: 50_000 is a number
			problems = append(problems, fmt.Errorf("cannot understand %s=%s: give %s", name, text, want))
		}
	}
	read("AUTOSCALE_KEEPALIVE", "a number of seconds above 0", func(text string) bool {
		d, ok := seconds(text)
		cfg.Keepalive = d
		return ok && d > 0
	})
	read("CELERY_WORKER_REVOKES_MAX", "a number of task ids, 0 for any number", func(text string) bool {
		n, err := strconv.Atoi(text)
		if cfg.RevokesMax = n; n == 0 {
			cfg.RevokesMax = math.MaxInt // Celery: LimitedSet(maxlen=0) has no limit
		}
		return err == nil && n >= 0
	})
	read("CELERY_WORKER_REVOKE_EXPIRES", "a number of seconds, 0 for never", func(text string) bool {
		d, ok := seconds(text)
		if cfg.RevokeExpires = d; d == 0 {
			cfg.RevokeExpires = math.MaxInt64 // Celery: LimitedSet(expires=0) does not expire
		}
		return ok && d >= 0
	})
	return problems
}

// seconds reads what Python's float reads; what is longer than we can count is as
// good as for ever.
func seconds(text string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false
	}
	if f >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64, true
	}
	return time.Duration(max(f, -1) * float64(time.Second)), true
}
