package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"crisper/integration/program"
)

// facts are what a reader needs to judge the figures.
type facts struct {
	Date     string            `json:"date"`
	Machine  string            `json:"machine"`
	Kernel   string            `json:"kernel"`
	Commit   string            `json:"commit"`
	Versions map[string]string `json:"versions"`
}

func gather(ctx context.Context, b *bench) facts {
	return facts{
		Date:    time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		Machine: fmt.Sprintf("%d cores of %s, %s of memory", runtime.NumCPU(), field("/proc/cpuinfo", "model name"), memory()),
		Kernel:  strings.TrimSpace(fileText("/proc/sys/kernel/osrelease")),
		Commit:  program.Commit(ctx),
		Versions: map[string]string{
			"Go":       runtime.Version(),
			"Python":   output(ctx, b.bed.Python, "-c", "import platform; print(platform.python_version())"),
			"celery":   packageVersion(ctx, b.bed.Python, "celery"),
			"kombu":    packageVersion(ctx, b.bed.Python, "kombu"),
			"redis-py": packageVersion(ctx, b.bed.Python, "redis"),
			"redis":    redisVersion(ctx, b),
			"dramatiq": packageVersion(ctx, b.peers, "dramatiq"),
			"huey":     packageVersion(ctx, b.peers, "huey"),
		},
	}
}

func redisVersion(ctx context.Context, b *bench) string {
	info, err := b.redis.Client.InfoMap(ctx, "server").Result()
	if err != nil {
		return "unknown"
	}
	return info["Server"]["redis_version"]
}

func packageVersion(ctx context.Context, python, name string) string {
	if python == "" {
		return "not measured"
	}
	return output(ctx, python, "-c", "import importlib.metadata as m; print(m.version('"+name+"'))")
}

func output(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func fileText(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// field is the first value of a "name : value" file.
func field(path, name string) string {
	for line := range strings.Lines(fileText(path)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown kind"
}

func memory() string {
	kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		return "an unknown amount"
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

func loadAverage() float64 {
	first, _, _ := strings.Cut(fileText("/proc/loadavg"), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
