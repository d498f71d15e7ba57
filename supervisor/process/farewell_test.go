package process

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

func TestTheTerminationMessageReplacesAnOlderOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	TerminationMessage(path, "a longer message than the second")
	TerminationMessage(path, "the second")
	if text, err := os.ReadFile(path); err != nil || string(text) != "the second" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestALongTerminationMessageIsCutBetweenCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	TerminationMessage(path, "x"+strings.Repeat("é", 4096))
	text, err := os.ReadFile(path)
	if err != nil || len(text) != 4095 || !utf8.Valid(text) {
		t.Errorf("%d bytes, valid %v, %v; want 4095", len(text), utf8.Valid(text), err)
	}
}

func TestATerminationMessageNobodyWantsIsNoTrouble(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo") // has no reader: opening it would block
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", dir, fifo, filepath.Join(dir, "no", "such"), "/dev/crisper-test-no-such-file"} {
		TerminationMessage(path, "unheard")
	}
	if _, err := os.Stat("/dev/crisper-test-no-such-file"); err == nil {
		t.Error("a file was made in /dev")
	}
}
