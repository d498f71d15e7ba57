package compat

import (
	"fmt"
	"io"
	"strings"

	"crisper/cmd/crisper/internal/options"
)

// WriteReference writes docs/reference/compatibility.md.
func WriteReference(w io.Writer) error {
	var page strings.Builder
	page.WriteString(head)
	writeOptions(&page)
	page.WriteString(settingsHead)
	for _, s := range sections() {
		fmt.Fprintf(&page, "\n### %s\n\n| setting | Celery's default | who | |\n| --- | --- | --- | --- |\n", s.title)
		for _, row := range s.rows {
			fmt.Fprintf(&page, "| %s | `%s` | %s | %s |\n", named(row), row.Default, row.Who, remark(row))
		}
	}
	page.WriteString(environmentHead)
	for _, row := range Environment() {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", row.Name, row.Who, remark(row))
	}
	_, err := io.WriteString(w, page.String())
	return err
}

func named(row Row) string {
	name := "`" + row.Name + "`"
	if row.New {
		name += " ⁺"
	}
	return name
}

func remark(row Row) string {
	if row.Note == "" {
		return ""
	}
	note := strings.ToUpper(row.Note[:1]) + row.Note[1:]
	if !strings.HasSuffix(note, ".") {
		note += "."
	}
	return strings.ReplaceAll(note, "|", "\\|")
}

func writeOptions(page *strings.Builder) {
	for _, row := range append(options.Global(), options.Worker()...) {
		native, why := options.FateOf(options.Setting{Option: row}, "native")
		celery, whyNot := options.FateOf(options.Setting{Option: row}, "celery")
		if celery == options.Refused && native != options.Refused {
			why = join(why, "With the celery runtime: "+whyNot)
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", row.Spelling(), native, celery, remark(Row{Note: why}))
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return strings.TrimSuffix(a, ".") + ". " + b
}

const head = `# Compatibility

<!-- Generated from cmd/crisper/internal by "go generate ./cmd/crisper"; a test fails when this page is stale. -->

What becomes of every option of ` + "`celery worker`" + `, every setting of ` + "`celery.app.defaults`" + ` and every environment variable that
Celery's worker reads. The tables are those that the program acts on, and tests compare them with Celery 5.3 and 5.7. ` + "`crisper worker\n--explain`" + ` with a worker's arguments says the same of one app, without starting: the runtime and why, and what becomes of each option that
was given and each setting that the app changed.

| who | means |
| --- | --- |
| Crisper | honoured by the supervisor |
| the app | given to the app's own Celery, in the children or in ` + "`celery worker`" + ` |
| Crisper and app | both |
| accepted | changes nothing here; the remark says why |
| accepted, warns | does nothing, or less than in Celery, and the log says so at start |
| celery runtime | only Celery's own worker has it: ` + "`--runtime=auto`" + ` takes the celery runtime, ` + "`--runtime=native`" + ` refuses with exit code 2 |
| refused | the worker does not start, says why and what to do instead, and ends with exit code 2 |

## Runtime

` + "`--runtime=auto`" + `, the default, takes the native runtime unless the app needs one of these; the log names what it was.

- a broker other than Redis (RabbitMQ included), or transport options that are Python code;
- a pool other than prefork and solo, or the start method spawn;
- bootsteps of its own in ` + "`app.steps`" + `, or a subclass of the worker (` + "`app.Worker`" + `);
- a consumer, autoscaler, timer or agent class of its own;
- a task with a ` + "`Strategy` or `Request`" + ` class of its own.

The app is loaded once for that, as the native runtime does; when it turns out to need Celery's own worker, that process ends and
whole workers are started in its place. ` + "`-P gevent`" + ` and the like decide without loading it.

## Options

Spelling and environment are in [configuration](configuration.md). Arguments ` + "`name=value`" + ` are settings; a name that Celery does not have is
exit code 2, as are options that neither Celery nor the app has. Options of the app's own (` + "`app.user_options`" + `) follow ` + "`--`" + `.

| option | native | celery runtime | |
| --- | --- | --- | --- |
`

const settingsHead = `
## Settings

In the native runtime; with the celery runtime Celery's own worker reads all of them. ⁺: not in Celery 5.3. A setting whose name is
almost one of Celery's, and which Celery would ignore in silence, is warned about.
`

const environmentHead = `
## Environment

Beside the variables of options.

| variable | who | |
| --- | --- | --- |
`
