package options

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// celerysBeat are the spellings of `celery beat` 5.7; 5.3 has no more.
const celerysBeat = `--detach -s --schedule -S --scheduler --max-interval --enable-remote-control --no-enable-remote-control
-n --hostname -l --loglevel -f --logfile --pidfile --uid --gid --umask --executable`

func beatTable(t *testing.T) map[string]Option {
	t.Helper()
	table := map[string]Option{}
	for _, row := range Beat() {
		for _, spelling := range ours(row) {
			if other, twice := table[spelling]; twice {
				t.Errorf("%s stands for both %s and %s", spelling, other.Name, row.Name)
			}
			table[spelling] = row
		}
	}
	return table
}

func TestEveryOptionOfCelerysBeatIsInTheTable(t *testing.T) {
	table := beatTable(t)
	golden := strings.Fields(celerysBeat)
	for _, spelling := range golden {
		row, known := table[spelling]
		if !known || row.Own {
			t.Errorf("Celery's beat has %s, we do not", spelling)
			continue
		}
		if env := "CELERY_BEAT_" + strings.ToUpper(strings.ReplaceAll(row.Name, "-", "_")); !slices.Contains(row.Env, env) {
			t.Errorf("--%s: Celery reads $%s", row.Name, env)
		}
	}
	for _, row := range BeatOnly() {
		for _, spelling := range ours(row) {
			if slices.Contains(golden, spelling) == row.Own {
				t.Errorf("%s: whose option is it?", spelling)
			}
		}
		if row.Help == "" || row.Who == "" || len(row.Env) == 0 || !slices.Contains(Groups(), row.Group) {
			t.Errorf("--%s lacks help, who, env or a group: %+v", row.Name, row)
		}
		if (row.Who == Refused || row.Who == Harmless) && row.Note == "" {
			t.Errorf("--%s is %s without a reason", row.Name, row.Who)
		}
	}
}

func TestInstalledCelerysBeatHasNoOptionThatWeLack(t *testing.T) {
	python := os.Getenv("CRISPER_TEST_PYTHON")
	if python == "" {
		t.Skip("set CRISPER_TEST_PYTHON to an interpreter with Celery")
	}
	const ask = "from celery.bin.beat import beat; print(*(o for p in beat.params for o in (*p.opts, *p.secondary_opts)))"
	out, err := exec.Command(python, "-c", ask).Output()
	if err != nil {
		t.Fatalf("cannot ask Celery's parser: %v", err)
	}
	table := beatTable(t)
	for _, spelling := range strings.Fields(string(out)) {
		if _, known := table[spelling]; !known && spelling != "--help" {
			t.Errorf("the installed Celery's beat has %s, we do not", spelling)
		}
	}
}
