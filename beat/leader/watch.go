package leader

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

// watchEvery is the time between two looks at watched files. Looking needs no support
// by the file system (a ConfigMap is a symbolic link that is replaced; a network
// volume tells nobody), and a change takes effect after two.
const watchEvery = 2 * time.Second

// watch reloads when a watched file has changed and stays so for one more look.
func (s *service) watch(ctx context.Context) {
	if len(s.cfg.Watch) == 0 {
		return
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	loaded := fingerprint(s.cfg.Watch)
	before := loaded
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := fingerprint(s.cfg.Watch)
		if now != loaded && now == before {
			s.log.Info("a watched file has changed", zap.Strings("watched", s.cfg.Watch))
			loaded = now
			s.reload("a changed file")
		}
		before = now
	}
}

// fingerprint tells versions of files apart: where links lead, sizes and times, of
// folders those of what is in them.
func fingerprint(paths []string) string {
	var text strings.Builder
	for _, path := range paths {
		note(&text, path)
		names, _ := os.ReadDir(path) // a file, or nothing
		for _, entry := range names {
			note(&text, filepath.Join(path, entry.Name()))
		}
	}
	return text.String()
}

func note(text *strings.Builder, path string) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		fmt.Fprintf(text, "%s: none\n", path)
		return
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		fmt.Fprintf(text, "%s: none\n", path)
	case info.IsDir(): // its time changes with what Python writes there (__pycache__)
		fmt.Fprintf(text, "%s: %s\n", path, real)
	default:
		fmt.Fprintf(text, "%s: %s %d %d\n", path, real, info.Size(), info.ModTime().UnixNano())
	}
}
