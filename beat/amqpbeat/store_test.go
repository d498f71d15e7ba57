package amqpbeat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crisper/beat"
	"crisper/beat/beattest"
	"crisper/broker"
)

func stores(t *testing.T) map[string]func() Store {
	path := filepath.Join(t.TempDir(), "records")
	k := newFakeKube(t)
	return map[string]func() Store{
		"file":      func() Store { return &FileStore{Path: path} },
		"ConfigMap": func() Store { return k.store(t) },
	}
}

func TestASwapSucceedsOnTheCurrentVersionOnly(t *testing.T) {
	for name, create := range stores(t) {
		t.Run(name, func(t *testing.T) {
			a, b := create(), create()
			text, version, err := a.Load(t.Context())
			if text != nil || version != "" || err != nil {
				t.Fatalf("empty: %q %q %v", text, version, err)
			}
			one, err := a.Swap(t.Context(), []byte("one"), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Swap(t.Context(), []byte("other"), ""); !errors.Is(err, ErrConflict) {
				t.Errorf("second creation: %v", err)
			}
			text, version, err = b.Load(t.Context())
			if string(text) != "one" || version != one || err != nil {
				t.Fatalf("read %q %q %v", text, version, err)
			}
			if _, err := b.Swap(t.Context(), []byte("two"), version); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Swap(t.Context(), []byte("three"), one); !errors.Is(err, ErrConflict) {
				t.Errorf("old version: %v", err)
			}
		})
	}
}

func TestOfManySwapsAtOnceEachThatSucceedsIsSeenByTheNext(t *testing.T) {
	for name, create := range stores(t) {
		t.Run(name, func(t *testing.T) {
			var wait sync.WaitGroup
			for range 6 {
				wait.Go(func() {
					s := create()
					for done := 0; done < 5; {
						text, version, err := s.Load(t.Context())
						if err == nil {
							_, err = s.Swap(t.Context(), append(text, 'x'), version)
						}
						switch {
						case err == nil:
							done++
						case !errors.Is(err, ErrConflict):
							t.Error(err)
							return
						}
					}
				})
			}
			wait.Wait()
			if text, _, _ := create().Load(t.Context()); len(text) != 30 {
				t.Errorf("%d of 30 are there", len(text))
			}
		})
	}
}

func TestAFileThatMayNotBeWrittenIsRefused(t *testing.T) {
	s := &FileStore{Path: filepath.Join(t.TempDir(), "missing", "records")}
	if _, err := s.Swap(t.Context(), []byte("x"), ""); !errors.Is(err, broker.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestWhatAProcessThatDiedWhileWritingHasLeftDoesNoHarm(t *testing.T) {
	s := &FileStore{Path: filepath.Join(t.TempDir(), "records")}
	version, err := s.Swap(t.Context(), []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path+".new", []byte("half of two, which was longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, _, _ := s.Load(t.Context()); string(text) != "one" {
		t.Errorf("read %q", text)
	}
	if _, err := s.Swap(t.Context(), []byte("two"), version); err != nil {
		t.Fatal(err)
	}
	if text, _, _ := s.Load(t.Context()); string(text) != "two" {
		t.Errorf("read %q", text)
	}
}

func TestALockThatIsHeldIsWaitedForNoLongerThanTheContext(t *testing.T) {
	s := &FileStore{Path: filepath.Join(t.TempDir(), "records")}
	lock, err := os.Create(s.Path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Swap(ctx, []byte("x"), ""); !errors.Is(err, beat.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// An API server that has just started refuses everybody: only what lasts is believed.
func TestAMissingPermissionIsNamedByVerbAndObjectAndBelievedWhenItLasts(t *testing.T) {
	k := newFakeKube(t)
	for method, verb := range map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update"} {
		s := k.store(t)
		version := map[string]string{http.MethodPut: "1"}[method]
		k.refuse = map[string]bool{method: true}
		ask := func() (err error) {
			if method == http.MethodGet {
				_, _, err = s.Load(t.Context())
			} else {
				_, err = s.Swap(t.Context(), []byte("x"), version)
			}
			return err
		}
		for _, want := range []error{beat.ErrUnavailable, broker.ErrRefused} {
			if err := ask(); !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), verb+` ConfigMap "beat"`) {
				t.Errorf("%s: %v, want %v", verb, err, want)
			}
		}
	}
}

func TestARefusalThatHasPassedIsForgotten(t *testing.T) {
	k := newFakeKube(t)
	s := k.store(t)
	for range 3 {
		k.refuse = map[string]bool{http.MethodGet: true}
		if _, _, err := s.Load(t.Context()); !errors.Is(err, beat.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		k.refuse = nil
		if _, _, err := s.Load(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestLabelsOfTheConfigMapAreKept(t *testing.T) {
	k := newFakeKube(t)
	s := k.store(t)
	if _, err := s.Swap(t.Context(), []byte("one"), ""); err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	m := k.maps["beat"]
	m.Labels = map[string]string{"app": "proj"}
	k.maps["beat"] = m
	k.mu.Unlock()
	_, version, err := s.Load(t.Context())
	if err == nil {
		_, err = s.Swap(t.Context(), []byte("two"), version)
	}
	if err != nil || k.maps["beat"].Labels["app"] != "proj" {
		t.Errorf("labels %v, %v", k.maps["beat"].Labels, err)
	}
}

func TestAConfigMapThatWasDeletedIsMadeAnew(t *testing.T) {
	w := kubeWorld(t)
	r := w.replica(t, 1)
	outcomes(t, r, 1, beattest.Tick("q", "e", 1))
	kube := r.store.Store.(*KubeStore)
	other := newFakeKube(t).store(t) // an empty cluster
	kube.maps = other.maps
	outcomes(t, r, 1, beattest.Tick("q", "e", 2))
	known := r.lead(t, 1)
	if !known["e"].Last.Equal(beattest.At(2)) || !known["f"].Last.Equal(beattest.Start) {
		t.Errorf("records %+v", known)
	}
}
