package agent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestExactlyTheWantedFilesAreCarried(t *testing.T) {
	want := []string{
		"crisper_agent/__init__.py", "crisper_agent/after_fork.py",
		"crisper_agent/beat_blueprint.py", "crisper_agent/beat_capture.py", "crisper_agent/beat_describe.py",
		"crisper_agent/beat_import.py", "crisper_agent/beat_keeper.py", "crisper_agent/beat_load.py",
		"crisper_agent/beat_main.py", "crisper_agent/beat_own.py", "crisper_agent/beat_schedules.py",
		"crisper_agent/beat_timekeeper.py", "crisper_agent/child.py", "crisper_agent/describe.py",
		"crisper_agent/executor.py", "crisper_agent/guard.py", "crisper_agent/holes.py", "crisper_agent/hooks.py",
		"crisper_agent/needs.py", "crisper_agent/numbers.py", "crisper_agent/panel.py", "crisper_agent/preload.py", "crisper_agent/quicken.py",
		"crisper_agent/record.py", "crisper_agent/recorder.py", "crisper_agent/single_fork.py",
		"crisper_agent/soft_limit.py", "crisper_agent/stand_in.py",
		"crisper_agent/steward.py", "crisper_agent/trim.py", "crisper_agent/warm.py", "crisper_agent/wire.py", "crisper_agent/zygote.py", "crisper_agent_main.py",
	}
	var got []string
	if err := eachFile(func(name string, _ []byte) error { got = append(got, name); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("carried %q, want %q", got, want)
	}
}

func TestUnpackedFilesArePrivateAndGoAway(t *testing.T) {
	parent := t.TempDir()
	path, cleanup, err := Unpack(parent)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("the directory has mode %o, want 700", got)
	}
	if _, err := os.Stat(filepath.Join(path, mainFile)); err != nil {
		t.Error(err)
	}
	cleanup()
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("cleanup left %v", left)
	}
}

func TestUnpackFindsAPlaceWhenTheTempDirIsMissing(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	path, cleanup, err := Unpack("")
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	if _, err := os.Stat(filepath.Join(path, mainFile)); err != nil {
		t.Error(err)
	}
}

func TestPythonIsFoundInTheOrderThatIsPromised(t *testing.T) {
	root := t.TempDir()
	executable := func(name, content string) string {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	venv := executable("venv/bin/python", "")
	tool := executable("tool/bin/python3.12", "")
	system := executable("usr/bin/python3", "")
	spaced := executable("a tool/bin/python", "")
	executable("plain/celery", "#!"+tool+"\n")
	executable("wrapped/celery", "#!/bin/sh\n'''exec' \""+spaced+"\" \"$0\" \"$@\"\n")
	executable("env/celery", "#!/usr/bin/env python3\n")
	executable("binary/celery", "\x7fELF")
	path := func(dirs ...string) string {
		out := "PATH="
		for _, dir := range append(dirs, "usr/bin") {
			out += filepath.Join(root, dir) + string(filepath.ListSeparator)
		}
		return out
	}
	active := "VIRTUAL_ENV=" + filepath.Join(root, "venv")
	for _, c := range []struct {
		name, flag string
		env        []string
		want       string
	}{
		{"--python wins", tool, []string{active, path("plain")}, tool},
		{"--python by name", "python3", []string{active, path()}, system},
		{"the active environment", "", []string{active, path("plain")}, venv},
		{"an environment that is gone is passed over", "", []string{"VIRTUAL_ENV=/missing", path("plain")}, tool},
		{"the celery script's", "", []string{path("plain")}, tool},
		{"the celery script's, long form", "", []string{path("wrapped")}, spaced},
		{"the celery script's, through env", "", []string{path("env")}, system},
		{"python3, when celery is no script", "", []string{path("binary")}, system},
		{"python3, when there is no celery", "", []string{path()}, system},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := FindPython(c.flag, c.env)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	for _, flag := range []string{"", "/missing/python", "python9"} {
		if got, err := FindPython(flag, []string{"PATH=/missing"}); err == nil {
			t.Errorf("with --python %q found %q", flag, got)
		}
	}
}
