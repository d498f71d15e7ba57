package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"crisper/supervisor/agent"
)

// saved is what --statedb keeps over restarts. Celery keeps it in a shelve, which
// a crash in the middle of writing destroys; ours is a JSON file beside that, always
// whole. Celery's is read once, when ours does not exist yet.
type saved struct {
	Version int      `json:"version"`
	Clock   int64    `json:"clock"`
	Revoked []string `json:"revoked"` // oldest first
}

// saveEvery bounds how much is forgotten when we are killed.
const saveEvery = time.Second

func stateFile(path string) string { return path + ".crisper.json" }

// loadState reads what was kept. A file that cannot be read is not overwritten: the
// worker refuses to start, as running what was revoked would be worse.
func loadState(path string) (s saved, found bool, err error) {
	if path == "" {
		return s, true, nil
	}
	text, err := os.ReadFile(stateFile(path))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && s.Version != 1 {
		err = fmt.Errorf("its version is %d, not 1", s.Version)
	}
	if err != nil {
		return s, true, fmt.Errorf("cannot read the state of --statedb in %s (remove it to start without): %w", stateFile(path), err)
	}
	return s, true, nil
}

// mayKeep finds out at the start whether the state can be written, and not when the
// first revoke is to be kept.
func mayKeep(path string) error {
	if path == "" {
		return nil
	}
	target := stateFile(path)
	file, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".*")
	if err == nil {
		_ = file.Close() // nothing was written
		err = os.Remove(file.Name())
	}
	if err != nil {
		return fmt.Errorf("--statedb: cannot write to %s: %w", filepath.Dir(target), err)
	}
	return nil
}

// recall takes over what was kept.
func (l *loop) recall(s saved) {
	for _, id := range s.Revoked {
		l.consumer.Revoked().Add(l.now, id)
	}
	l.remote.clock.Adjust(s.Clock)
	l.remote.kept = l.consumer.Revoked().Changes()
}

// importState asks Python for what Celery kept under the same name; nothing is taken
// before it has answered.
func (l *loop) importState() {
	if l.remote.stateFound {
		return
	}
	l.remote.waits++
	l.put(&ask{op: agent.OpStateDB, args: map[string]any{"path": l.cfg.Remote.StateDB}, answer: func(a agent.Answer) {
		l.remote.waits--
		var s saved
		if a.Error == "" {
			if err := json.Unmarshal(a.Reply, &s); err != nil {
				a.Error = err.Error()
			}
		}
		if a.Error != "" {
			l.log.Error("cannot read what Celery kept in its --statedb; nothing is taken over from there",
				zap.String("path", l.cfg.Remote.StateDB), zap.String("error", a.Error))
			return
		}
		l.recall(s)
		l.remote.kept = -1 // to be written in our way
	}})
}

// keepState writes down what is revoked when that has changed, once a second at most.
func (l *loop) keepState() {
	r := l.remote
	if !l.stateChanged() || r.saving || l.now.Sub(r.savedAt) < saveEvery {
		return
	}
	r.saving, r.savedAt, r.kept = true, l.now, l.consumer.Revoked().Changes()
	path, s := l.cfg.Remote.StateDB, l.stateNow()
	l.goes(func() {
		err := writeState(path, s)
		l.post(asked{func(l *loop) {
			l.remote.saving = false
			if err != nil {
				l.remote.kept = -1
				l.log.Error("cannot keep what is revoked", zap.Error(err))
			}
		}})
	})
}

func (l *loop) stateChanged() bool {
	return l.cfg.Remote.StateDB != "" && l.remote.waits == 0 && l.remote.kept != l.consumer.Revoked().Changes()
}

func (l *loop) stateNow() saved {
	return saved{Version: 1, Clock: l.remote.clock.Value(), Revoked: append([]string{}, l.consumer.Revoked().IDs()...)}
}

// nextSave is when keepState has something to do.
func (l *loop) nextSave() time.Time {
	if !l.stateChanged() || l.remote.saving {
		return time.Time{}
	}
	return l.remote.savedAt.Add(saveEvery)
}

// lastSave is at the end, when nothing else is going on. What was not imported is
// not overwritten either.
func (l *loop) lastSave() {
	if l.cfg.Remote.StateDB == "" || l.remote.waits > 0 {
		return
	}
	if err := writeState(l.cfg.Remote.StateDB, l.stateNow()); err != nil {
		l.log.Error("cannot keep what is revoked", zap.Error(err))
	}
}

// writeState replaces the file as a whole.
func writeState(path string, s saved) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("cannot write the state: %w", err)
	}
	target := stateFile(path)
	file, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".*")
	if err != nil {
		return fmt.Errorf("cannot write the state: %w", err)
	}
	defer os.Remove(file.Name()) // renamed by then, unless something failed
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(file.Name(), target)
	}
	if err != nil {
		return fmt.Errorf("cannot write the state to %s: %w", target, err)
	}
	return nil
}
