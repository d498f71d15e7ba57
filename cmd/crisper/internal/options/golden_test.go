package options

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// celeryOption is one line of a golden list.
type celeryOption struct {
	scope, kind, name, env string
	spellings              []string
}

func celeryOptions(t *testing.T, path string) []celeryOption {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseCelery(t, string(content))
}

func parseCelery(t *testing.T, text string) []celeryOption {
	t.Helper()
	var all []celeryOption
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 {
			t.Fatalf("bad line %q", line)
		}
		all = append(all, celeryOption{f[0], f[1], f[2], f[3], f[4:]})
	}
	return all
}

func ours(row Option) []string {
	all := []string{"--" + row.Name}
	if row.Short != "" {
		all = append(all, "-"+row.Short)
	}
	for _, alias := range row.Aliases {
		all = append(all, "--"+alias)
	}
	return all
}

func bySpelling(t *testing.T) map[string]Option {
	t.Helper()
	table := map[string]Option{}
	for _, row := range All() {
		for _, spelling := range ours(row) {
			if other, twice := table[spelling]; twice {
				t.Errorf("%s stands for both %s and %s", spelling, other.Name, row.Name)
			}
			table[spelling] = row
		}
	}
	return table
}

func TestEveryOptionOfCeleryIsInTheTable(t *testing.T) {
	table := bySpelling(t)
	for _, version := range []string{"5.3", "5.7"} {
		for _, option := range celeryOptions(t, "testdata/celery-"+version+".txt") {
			if option.name == "version" {
				continue // --version ends the program; the root command has it
			}
			for _, spelling := range option.spellings {
				row, ok := table[spelling]
				if !ok {
					t.Errorf("Celery %s has %s, we do not", version, spelling)
					continue
				}
				checkAgainst(t, row, option)
			}
		}
	}
}

func checkAgainst(t *testing.T, row Option, option celeryOption) {
	t.Helper()
	if (row.Kind == Flag) != (option.kind == "flag") {
		t.Errorf("--%s: Celery says it is a %s", row.Name, option.kind)
	}
	if (row.Group == groupGlobal) != (option.scope == "global") {
		t.Errorf("--%s: Celery takes it as a %s option", row.Name, option.scope)
	}
	if option.env != "-" && !slices.Contains(row.Env, option.env) {
		t.Errorf("--%s: Celery reads $%s", row.Name, option.env)
	}
	// click derives these from auto_envvar_prefix="CELERY".
	automatic := "CELERY_" + strings.ToUpper(option.name)
	if option.scope == "worker" {
		automatic = "CELERY_WORKER_" + strings.ToUpper(option.name)
	}
	if !slices.Contains(row.Env, automatic) {
		t.Errorf("--%s: Celery reads $%s", row.Name, automatic)
	}
	if row.Own {
		t.Errorf("--%s is Celery's and not ours", row.Name)
	}
}

func TestNoOptionPretendsToBeCelerys(t *testing.T) {
	known := map[string]bool{}
	for _, option := range celeryOptions(t, "testdata/celery-5.7.txt") {
		for _, spelling := range option.spellings {
			known[spelling] = true
		}
	}
	for _, row := range append(Global(), Worker()...) {
		for _, spelling := range ours(row) {
			if !known[spelling] {
				t.Errorf("%s is not an option of Celery", spelling)
			}
		}
	}
	for _, row := range Own() {
		for _, spelling := range ours(row) {
			if known[spelling] {
				t.Errorf("%s is an option of Celery", spelling)
			}
		}
	}
}

// With an installed Celery, the golden list of its version must be what its own
// parser says, and any version's options must be in the table.
func TestInstalledCeleryHasNoOptionThatWeLack(t *testing.T) {
	for _, variable := range []string{"CRISPER_TEST_PYTHON", "CRISPER_TEST_PYTHON_OLD"} {
		t.Run(variable, func(t *testing.T) {
			python := os.Getenv(variable)
			if python == "" {
				t.Skip("set " + variable + " to an interpreter with Celery")
			}
			checkInstalled(t, python)
		})
	}
}

func checkInstalled(t *testing.T, python string) {
	t.Helper()
	out := ask(t, python, "testdata/celery_options.py")
	version := ask(t, python, "-c", "import celery; print('.'.join(celery.__version__.split('.')[:2]))")
	path := fmt.Sprintf("testdata/celery-%s.txt", strings.TrimSpace(version))
	if want, err := os.ReadFile(path); err == nil {
		if diff := cmp.Diff(string(want), out); diff != "" {
			t.Errorf("%s is stale (run celery_options.py):\n%s", path, diff)
		}
	}
	spellings := regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(ask(t, python, "-m", "celery", "worker", "--help"), -1)
	if len(spellings) < 20 {
		t.Errorf("`celery worker --help` shows %d options", len(spellings))
	}
	for _, option := range parseCelery(t, out) {
		spellings = append(spellings, option.spellings...)
	}
	table := bySpelling(t)
	for _, spelling := range spellings {
		// The help's examples have an option of `celery` in them, too; --help and
		// --version end the program.
		if _, ok := table[spelling]; !ok && spelling != "--help" && spelling != "--version" {
			t.Errorf("the installed Celery has %s, we do not", spelling)
		}
	}
}

func ask(t *testing.T, python string, args ...string) string {
	t.Helper()
	out, err := exec.Command(python, args...).Output()
	if err != nil {
		t.Fatalf("cannot ask Celery (%s): %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func TestReferencePageIsFresh(t *testing.T) {
	want, err := os.ReadFile("../../../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("docs/reference/configuration.md is stale (go generate ./cmd/crisper):\n%s", diff)
	}
}

func TestEveryRowIsFitToBeRead(t *testing.T) {
	for _, row := range All() {
		if row.Help == "" || row.Group == "" || row.Who == "" || len(row.Env) == 0 {
			t.Errorf("--%s lacks help, group, who or env: %+v", row.Name, row)
		}
		if !slices.Contains(Groups(), row.Group) {
			t.Errorf("--%s is in the group %q that nobody prints", row.Name, row.Group)
		}
		if (row.Who == Refused || row.Who == Later || row.Who == Harmless) && row.Note == "" {
			t.Errorf("--%s is %s without a reason", row.Name, row.Who)
		}
		if row.Kind == Choice && len(row.Choices) == 0 {
			t.Errorf("--%s has no choices", row.Name)
		}
		if row.Kind != Flag && row.Metavar == "" {
			t.Errorf("--%s does not name its value", row.Name)
		}
		if row.Default != "" {
			if err := row.check(row.Default); err != nil {
				t.Errorf("--%s: its default must be %v, not %q", row.Name, err, row.Default)
			}
		}
	}
}
