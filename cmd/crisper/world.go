package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor/ops"
)

// world looks at the machine for the mapping of options.
func world(getenv func(string) string) options.World {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return options.World{
		Socket:      ops.DefaultSocket(getenv, os.Getpid()),
		CPUs:        cpus("/sys/fs/cgroup", runtime.NumCPU()),
		OOMScoreAdj: ownOOMScoreAdj("/proc/self/oom_score_adj"),
		Workdir:     dir, Exists: exists,
		Kubernetes: getenv("KUBERNETES_SERVICE_HOST") != "",
		Getenv:     getenv,
	}
}

// cpus is what `--concurrency=auto` means: the cgroup's quota rounded up, and
// not more than the CPUs that we may run on. Celery: utils/sysinfo.py (5.7).
func cpus(cgroup string, allowed int) int {
	quota := quotaV2(filepath.Join(cgroup, "cpu.max"))
	if quota == 0 {
		quota = quotaV1(filepath.Join(cgroup, "cpu"))
	}
	if quota == 0 {
		return allowed
	}
	return max(1, min(allowed, int(math.Ceil(quota))))
}

func quotaV2(path string) float64 {
	content, _ := os.ReadFile(path)
	fields := strings.Fields(string(content))
	if len(fields) != 2 {
		return 0
	}
	return ratio(fields[0], fields[1]) // "max" is no number: 0
}

func quotaV1(dir string) float64 {
	quota, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_quota_us"))
	period, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_period_us"))
	return ratio(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
}

func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}

func ownOOMScoreAdj(path string) int {
	content, _ := os.ReadFile(path)
	n, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return n
}
