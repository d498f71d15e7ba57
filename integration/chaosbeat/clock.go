package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// skewVariable tells a binary with a wrong clock by how many seconds.
const skewVariable = "CHAOSBEAT_CLOCK_SKEW"

// What is added to package time. See "Clocks" in doc.go.
const (
	rightNow = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	wrongNow = "\tsec, nsec, mono := runtimeNow()\n\tsec += wallSkew\n\tif mono == 0 {"

	skewFile = `package time

import "syscall"

var wallSkew = readSkew()

func readSkew() (seconds int64) {
	text, _ := syscall.Getenv("` + skewVariable + `")
	sign := int64(1)
	for i := range len(text) {
		if text[i] == '-' {
			sign = -1
			continue
		}
		seconds = seconds*10 + int64(text[i]-'0')
	}
	return sign * seconds
}
`
)

// skewedBinary is built once.
type skewedBinary struct {
	once sync.Once
	path string
	err  error
}

// get builds crisper with a clock that can be wrong. go itself keeps what it compiles
// for it, so that only the first time takes minutes.
func (s *skewedBinary) get(ctx context.Context, root, dir string) (string, error) {
	s.once.Do(func() { s.path, s.err = buildSkewed(ctx, root, dir) })
	return s.path, s.err
}

func buildSkewed(ctx context.Context, root, dir string) (string, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find Go's standard library: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return "", fmt.Errorf("cannot read Go's package time: %w", err)
	}
	wrong := strings.Replace(string(source), rightNow, wrongNow, 1)
	if wrong == string(source) {
		return "", errors.New("cannot shift time.Now: this version of Go has another one")
	}
	overlay, err := writeOverlay(library, dir, wrong)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "crisper-skewed")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", path, "./cmd/crisper")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build a binary with a wrong clock: %w\n%s", err, text)
	}
	return path, nil
}

func writeOverlay(library, dir, wrong string) (string, error) {
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": wrong, "skew.go": skewFile} {
		path := filepath.Join(dir, "wrong-"+name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("cannot write the overlay: %w", err)
		}
		replace[filepath.Join(library, name)] = path
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("cannot write the overlay: %w", err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("cannot write the overlay: %w", err)
	}
	return path, nil
}
