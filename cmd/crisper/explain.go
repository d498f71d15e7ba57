package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"crisper/cmd/crisper/internal/compat"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/agent"
)

// explanation is what `crisper worker --explain` tells.
type explanation struct {
	Runtime  string        `json:"runtime,omitempty"` // empty: the app does not load, and the command line does not say
	Reasons  []string      `json:"reasons"`
	App      *loadedApp    `json:"app,omitempty"`
	Options  []compat.Fate `json:"options"`
	Settings []compat.Fate `json:"settings"`
	Extra    []string      `json:"for_the_app"`
	Refused  []string      `json:"refused"`
	Warnings []string      `json:"warnings"`
	ExitCode int           `json:"exit_code"`
}

// loadedApp is what the app says about itself.
type loadedApp struct {
	Name     string   `json:"name"`
	Hostname string   `json:"hostname"`
	Celery   string   `json:"celery"`
	Python   string   `json:"python"`
	Broker   []string `json:"broker"`
	Queues   []string `json:"queues"`
	Tasks    int      `json:"tasks"`
}

// explain says what would be done with an app, and why. The app is loaded as a
// worker loads it, and nothing else is done.
func (p *program) explain(cmd *cobra.Command, args []string) error {
	settings, plan, refused := p.plan(cmd, args)
	if err := requireApp(settings, p.getenv); err != nil {
		return errors.Join(refused, err)
	}
	e := explanation{Reasons: []string{}, Settings: []compat.Fate{}, Extra: []string{}, Refused: []string{}, Warnings: []string{}}
	e.Runtime, _ = options.Decided(settings)
	for _, extra := range plan.Config.Agent.Extra {
		e.Extra = append(e.Extra, options.Redact(extra))
	}
	info, err := p.inspect(cmd, plan, e.Runtime)
	if err == nil {
		err = errors.Join(refused, p.judge(&e, settings, info))
	} else {
		err = errors.Join(refused, coded(supervisor.ExitApp, err))
	}
	e.Options = compat.Options(settings, e.Runtime)
	e.Warnings = append(e.Warnings, plan.Warnings...)
	if err != nil {
		e.ExitCode = exitCode(err)
		e.Refused = once(strings.Split(options.Redact(err.Error()), "\n"))
	}
	if err := p.write(e); err != nil {
		return err
	}
	p.exit = e.ExitCode
	return nil
}

// once leaves out what is there already: what the command line alone makes
// impossible is found twice.
func once(sentences []string) []string {
	var all []string
	for _, sentence := range sentences {
		if !slices.Contains(all, sentence) {
			all = append(all, sentence)
		}
	}
	return all
}

// inspect loads the app. A pool of Celery's own is left out: it is not to be run,
// and gevent has to be there before everything else or not at all.
func (p *program) inspect(cmd *cobra.Command, plan options.Plan, runtime string) (agent.Info, error) {
	asked := plan.Config.Agent
	asked.Only = "info"
	if runtime == "celery" {
		delete(asked.Worker, "pool")
	}
	return p.loadInfo(cmd.Context(), plan.Config.Python, asked, p.stderr)
}

// judge fills in what depends on the app; its error is why a worker would not start.
func (p *program) judge(e *explanation, settings options.Settings, info agent.Info) error {
	verdict := compat.Judge(settings, info, p.getenv)
	e.Runtime, e.Reasons = verdict.Runtime, verdict.Reasons
	e.Warnings = append(e.Warnings, verdict.Warnings...)
	e.Settings = compat.Changed(info, verdict.Runtime)
	e.App = &loadedApp{
		Name: info.AppName, Hostname: info.Hostname, Celery: info.Celery, Python: info.Python, Tasks: len(info.Tasks),
		Broker: []string{}, Queues: []string{},
	}
	for _, url := range info.Broker.URLs {
		e.App.Broker = append(e.App.Broker, options.Redact(url))
	}
	for _, queue := range info.Queues {
		e.App.Queues = append(e.App.Queues, queue.Name)
	}
	err := verdict.Refused
	if err == nil && verdict.Runtime == "native" {
		_, err = p.openBroker(info, "explain", zap.NewNop()) // connects to nothing
	}
	if err != nil {
		return coded(supervisor.ExitUsage, err)
	}
	return nil
}

// write tells it: a table for people, JSON for programs.
func (p *program) write(e explanation) error {
	if !isTerminal(p.stdout) {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(e); err != nil {
			return fmt.Errorf("cannot write the explanation: %w", err)
		}
		return nil
	}
	writeExplanation(p.stdout, e, painter(p.getenv("NO_COLOR") == ""))
	return nil
}

func writeExplanation(w io.Writer, e explanation, paint painting) {
	runtime := e.Runtime
	if runtime == "" {
		runtime = "not known"
	}
	fmt.Fprintf(w, "%s  %s\n", paint("dim", "runtime "), paint("bold", runtime))
	for _, reason := range e.Reasons {
		fmt.Fprintf(w, "%s  %s\n", paint("dim", "because "), reason)
	}
	if app := e.App; app != nil {
		fmt.Fprintf(w, "%s  %s  %s  python %s  celery %s  tasks %d\n", paint("dim", "app     "), app.Name, app.Hostname, app.Python, app.Celery, app.Tasks)
		fmt.Fprintf(w, "%s  %s  queues %s\n", paint("dim", "broker  "), strings.Join(app.Broker, ", "), strings.Join(app.Queues, ", "))
	}
	writeFates(w, "OPTION", e.Options, paint)
	writeFates(w, "SETTING", e.Settings, paint)
	writeSentences(w, paint("dim", "to the app"), e.Extra)
	writeSentences(w, paint("yellow", "warning"), e.Warnings)
	writeSentences(w, paint("red", "refused"), e.Refused)
	fmt.Fprintf(w, "\nA worker would %s.\n", outcome(e.ExitCode))
}

func writeSentences(w io.Writer, what string, sentences []string) {
	for i, sentence := range sentences {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s  %s\n", what, sentence)
	}
}

func outcome(exit int) string {
	if exit == 0 {
		return "start"
	}
	return fmt.Sprintf("not start: exit code %d", exit)
}

func writeFates(w io.Writer, heading string, fates []compat.Fate, paint painting) {
	if len(fates) == 0 {
		return
	}
	rows := [][]string{{heading, "VALUE", "FATE", "WHY"}}
	for _, fate := range fates {
		rows = append(rows, []string{fate.Name, fate.Value, string(fate.Who), fate.Why})
	}
	writeTable(w, rows, func(_, column int, cell string) string {
		if column == 2 {
			return paint(fateColor(strings.TrimSpace(cell)), cell)
		}
		return cell
	}, paint)
}

func fateColor(fate string) string {
	switch options.Who(fate) {
	case options.Refused:
		return "red"
	case options.Later, options.Elsewhere:
		return "yellow"
	case options.Harmless:
		return "dim"
	}
	return "green"
}
