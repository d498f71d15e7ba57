package options

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteReference writes docs/reference/configuration.md.
func WriteReference(w io.Writer) error {
	var page strings.Builder
	page.WriteString(referenceHead)
	for _, group := range Groups() {
		fmt.Fprintf(&page, "\n## %s\n\n| option | environment | default | who | meaning |\n| --- | --- | --- | --- | --- |\n", group)
		for _, row := range slices.Concat(All(), ExecOnly(), ExecPool(), BeatOnly()) {
			if row.Group == group {
				writeReferenceRow(&page, row)
			}
		}
	}
	_, err := io.WriteString(w, page.String())
	return err
}

func writeReferenceRow(page *strings.Builder, row Option) {
	fallback := "—"
	switch {
	case row.Default != "":
		fallback = "`" + row.Default + "`"
	case row.Kind == Flag:
		fallback = "off"
	case !row.Own && row.Who != Refused && row.Who != Harmless:
		fallback = "the app's"
	}
	meaning := row.Help
	if row.Note != "" {
		meaning += " " + sentence(row.Note)
	}
	fmt.Fprintf(page, "| %s | %s | %s | %s | %s |\n",
		spellings(row), "`"+strings.Join(row.Env, "`, `")+"`", fallback, row.Who, strings.ReplaceAll(meaning, "|", "\\|"))
}

func spellings(row Option) string {
	var all []string
	if row.Short != "" {
		all = append(all, "`-"+row.Short+"`")
	}
	for _, name := range append([]string{row.Name}, row.Aliases...) {
		all = append(all, "`--"+name+"`")
	}
	if row.Metavar != "" {
		all[len(all)-1] += " " + strings.ReplaceAll(row.Metavar, "|", "\\|")
	}
	return strings.Join(all, ", ")
}

// sentence makes a note that is a clause into a sentence.
func sentence(note string) string {
	note = strings.ToUpper(note[:1]) + note[1:]
	if !strings.HasSuffix(note, ".") {
		note += "."
	}
	return note
}

const referenceHead = `# Configuration

<!-- Generated from cmd/crisper/internal/options by "go generate ./cmd/crisper"; a test fails when this page is stale. -->

` + "`crisper worker`" + ` takes every option of ` + "`celery worker`" + ` with the same spelling, and the global ones on either side of the
subcommand. For each option, the first that says something wins: the command line, the environment, then the app's own
configuration (Celery's options) or the default (ours). An empty environment variable says nothing.
` + "`crisper config check`" + ` with the same arguments prints the values that result and where each came from, and all mistakes at once.

The column *who* says what becomes of an option: honoured by the supervisor (**Crisper**), given to Celery (**the app**),
both, **accepted** because it changes nothing here, **accepted, warns** because it does nothing yet and the log says so, or **refused**
with a reason and exit code 2. Arguments of the form ` + "`name=value`" + ` after the options are worker settings, as with Celery; what
follows ` + "`--`" + ` are options that the app itself adds to the worker command.
`
