package deploy

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is one line of the Dockerfile, continuations joined.
type instruction struct{ word, rest string }

// stage is FROM and what follows it.
type stage struct {
	name, base string
	lines      []instruction
}

// source is the second build context: a checkout of Crisper.
const source = "crisper-source"

func TestCopiedFilesExist(t *testing.T) {
	earlier := map[string]bool{}
	for _, s := range stages(t) {
		for _, words := range s.all("COPY") {
			from, files := "", strings.Fields(words)
			if name, ok := strings.CutPrefix(files[0], "--from="); ok {
				from, files = name, files[1:]
			}
			folder := map[string]string{"": "example", source: ".."}[from]
			if folder == "" && !earlier[from] {
				t.Errorf("COPY %s: there is no stage or context %q before it", words, from)
			}
			for _, file := range files[:len(files)-1] {
				if _, err := os.Stat(filepath.Join(folder, file)); folder != "" && err != nil {
					t.Errorf("COPY %s: %v", words, err)
				}
			}
		}
		earlier[s.name] = true
	}
}

func TestTheGoStageCopiesAllThatTheProgramIsMadeOf(t *testing.T) {
	var copied []string
	s := stages(t)[0]
	for _, words := range s.all("COPY") {
		files := strings.Fields(words)
		copied = append(copied, files[1:len(files)-1]...)
	}
	command := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./cmd/crisper")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("cannot list the packages of cmd/crisper: %v", err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if inside, ours := strings.CutPrefix(pkg, "crisper/"); ours {
			if top, _, _ := strings.Cut(inside, "/"); !slices.Contains(copied, top) {
				t.Errorf("%s is not copied, and %s is part of the program", top, pkg)
			}
		}
	}
}

func TestTheProgramIsStaticAndItsGoIsNewEnough(t *testing.T) {
	s := stages(t)[0]
	if !slices.ContainsFunc(s.all("RUN"), func(run string) bool { return strings.Contains(run, "CGO_ENABLED=0") }) {
		t.Error("the Go stage does not say CGO_ENABLED=0")
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go 1\.(\d+)`).FindStringSubmatch(string(mod))[1]
	got := regexp.MustCompile(`golang:1\.(\d+)`).FindStringSubmatch(s.base)
	if got == nil || number(t, got[1]) < number(t, want) {
		t.Errorf("go.mod says 1.%s, the base image is %s", want, s.base)
	}
}

func TestTheImageIsSlimAndRunsCrisperAsAUserByNumber(t *testing.T) {
	all := stages(t)
	project, last := all[len(all)-2], all[len(all)-1]
	if last.base != project.base || !strings.HasSuffix(strings.Split(last.base, ":")[1], "-slim-bookworm") {
		t.Errorf("packages are installed in %s and run in %s", project.base, last.base)
	}
	env := strings.Join(last.all("ENV"), " ")
	for _, want := range []string{"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "VIRTUAL_ENV=/app/.venv", "PATH=/app/.venv/bin:$PATH"} {
		if !slices.Contains(strings.Fields(env), want) {
			t.Errorf("the image does not set %s", want)
		}
	}
	if imageUser(t) == 0 {
		t.Error("the image runs as root")
	}
	if got := last.all("ENTRYPOINT"); !slices.Equal(got, []string{`["crisper"]`}) {
		t.Errorf("ENTRYPOINT is %q; a shell would be PID 1 without brackets", got)
	}
	for _, run := range last.all("RUN") {
		if strings.Contains(run, "pip") || strings.Contains(run, "apt") {
			t.Errorf("the last stage installs: %s", run)
		}
	}
}

func TestTheFolderOfTheEnvironmentIsTheSameInBothStages(t *testing.T) {
	all := stages(t)
	project, last := all[len(all)-2], all[len(all)-1]
	workdir := project.all("WORKDIR")[0]
	if !slices.Contains(last.all("COPY"), "--from="+project.name+" "+workdir+" "+workdir) {
		t.Errorf("%s is not copied as it is; scripts of a virtual environment name their folder", workdir)
	}
	if !strings.Contains(strings.Join(last.all("ENV"), " "), "VIRTUAL_ENV="+path.Join(workdir, ".venv")) {
		t.Errorf("VIRTUAL_ENV is not in %s", workdir)
	}
}

// imageUser is the number of the user of the last stage.
func imageUser(t *testing.T) int64 {
	t.Helper()
	all := stages(t)
	user, _, _ := strings.Cut(all[len(all)-1].all("USER")[0], ":")
	return int64(number(t, user))
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// all are the arguments of the instructions with this word.
func (s stage) all(word string) []string {
	var found []string
	for _, line := range s.lines {
		if line.word == word {
			found = append(found, line.rest)
		}
	}
	return found
}

// words are the instructions of the Dockerfile reference that this one may use.
var words = []string{"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}

func stages(t *testing.T) []stage {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	comments := regexp.MustCompile(`(?m)^\s*#.*\n`)
	joined := strings.ReplaceAll(comments.ReplaceAllString(string(text), ""), "\\\n", " ")
	var all []stage
	for line := range strings.Lines(joined) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.Join(strings.Fields(rest), " ")
		switch {
		case word == "":
		case !slices.Contains(words, word):
			t.Fatalf("the Dockerfile has an unknown instruction: %s", line)
		case word == "FROM":
			parts := strings.Fields(regexp.MustCompile(`--\S+ `).ReplaceAllString(rest, ""))
			s := stage{base: parts[0]}
			if len(parts) == 3 && parts[1] == "AS" {
				s.name = parts[2]
			}
			all = append(all, s)
		default:
			last := &all[len(all)-1]
			last.lines = append(last.lines, instruction{word, rest})
		}
	}
	return all
}
