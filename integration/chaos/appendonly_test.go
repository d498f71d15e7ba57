package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resp is a command as redis-server writes it down.
func resp(line string) string {
	words := strings.Fields(line)
	out := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		out += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return out
}

func writtenDown(t *testing.T, files map[string]string) (*wire, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "appendonlydir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "appendonlydir", "appendonly.aof."+name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return written(dir)
}

func TestAnAppendOnlyFileShowsWhatWasPoppedAndNeverBooked(t *testing.T) {
	w, err := writtenDown(t, map[string]string{
		"1.base.rdb": "REDIS",
		"9.incr.aof": resp("select 0") + resp("LPUSH default lost") + resp("LPUSH default booked") + resp("RPOP default") + resp("RPOP default"),
		"10.incr.aof": resp("MULTI") + resp("HSET unacked tag-booked booked") + resp("EXEC") + resp("LPUSH default waits") + resp("LPUSH default moved") +
			resp("LREM default 1 x") + "*3\r\n$5\r\nLPUSH\r\n$7\r\ndefa",
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"booked": false, "waits": false, "moved": false, "unheard": false} {
		if got := w.lost(id, "waits"); got != want {
			t.Errorf("%s was lost by kombu: %t", id, got)
		}
	}
	w, err = writtenDown(t, map[string]string{"1.incr.aof": resp("LPUSH default lost") + resp("RPOP default")})
	if err != nil || !w.lost("lost", "") {
		t.Errorf("what was popped and never booked was not lost by kombu: %v", err)
	}
}

func TestWhatIsNoAppendOnlyFileIsNoEvidence(t *testing.T) {
	for _, text := range []string{"+OK\r\n", "*1\r\n+OK\r\n", "*x\r\n", "*1\r\n$-5\r\n"} {
		if _, err := writtenDown(t, map[string]string{"1.incr.aof": text}); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if _, err := writtenDown(t, nil); err == nil {
		t.Error("none was read")
	}
}
