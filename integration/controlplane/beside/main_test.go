//go:build integration

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestTheCommandFindsTheControlPlaneAndItsExitCodeIsOurs(t *testing.T) {
	var out bytes.Buffer
	code, err := run([]string{"--", "sh", "-c", `echo "$CRISPER_TEST_KUBECONFIG"; grep -c server: "$CRISPER_TEST_KUBECONFIG"; exit 3`}, &out, os.Stderr)
	if err != nil || code != 3 {
		t.Fatalf("code %d, error %v", code, err)
	}
	path, servers, _ := strings.Cut(out.String(), "\n")
	if servers != "1\n" {
		t.Errorf("the command printed %q", out.String())
	}
	if _, err := os.Stat(path); err == nil {
		t.Errorf("%s is left", path)
	}
}

func TestACommandThatIsMissingIsNamed(t *testing.T) {
	if code, err := run(nil, os.Stdout, os.Stderr); code != 2 || err == nil {
		t.Errorf("without a command: %d, %v", code, err)
	}
	if code, err := run([]string{"no-such-command"}, os.Stdout, os.Stderr); code != 1 || err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("got %d, %v", code, err)
	}
}
