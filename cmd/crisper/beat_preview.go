package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"crisper/beat/app"
	"crisper/beat/leader"
	"crisper/beat/planner"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
)

// previewing is what `beat preview` is asked.
type previewing struct{ from, until, entry, zone string }

func (p *program) previewCommand() *cobra.Command {
	var asked previewing
	var asJSON bool
	cmd := &cobra.Command{
		Use: "preview -A APP --from T --until T [--entry NAME] [--tz ZONE]", DisableFlagsInUseLine: true,
		Short: "Print every coming tick.",
		Long: `Prints every tick after --from and not after --until, every entry taken as last run at --from: JSON lines

  {"entry":"report","task":"proj.report","due":"2026-03-29T01:30:00Z"}

with due in UTC, and a table on a terminal. Nothing is sent and no broker is asked. Entries whose schedule only the app's Python
knows (solar events, classes of its own) cannot be foretold: they are named on stderr, as are entries that cannot run.`,
		Annotations: map[string]string{rowsOf: "preview"},
		Args:        noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			opts, err := p.previewApp(cmd)
			if err != nil {
				return err
			}
			return p.preview(ctx, opts, asked, !asJSON && isTerminal(p.stdout))
		},
	}
	options.Add(cmd.Flags(), options.Preview())
	flags := cmd.Flags()
	flags.StringVar(&asked.from, "from", "", "From when; RFC 3339, or without a zone in that of --tz. [now]")
	flags.StringVar(&asked.until, "until", "", "Until when, or for how long (24h). [24h]")
	flags.StringVar(&asked.entry, "entry", "", "Only this entry.")
	flags.StringVar(&asked.zone, "tz", "", "As if the app's time zone were this one. [the app's]")
	flags.BoolVar(&asJSON, "json", false, "JSON also on a terminal.")
	return cmd
}

// previewApp is how the app is loaded.
func (p *program) previewApp(cmd *cobra.Command) (app.Options, error) {
	settings, problems := options.Resolve(cmd.Flags(), append(options.Global(), options.Preview()...), p.getenv)
	plan, err := options.MakeBeat(settings, nil, nil, world(p.getenv))
	if err = errors.Join(append(problems, err)...); err != nil {
		return app.Options{}, exitError{exitUsage, err}
	}
	return plan.Beat.App, requireApp(settings, p.getenv)
}

func (p *program) preview(ctx context.Context, opts app.Options, asked previewing, table bool) error {
	if _, err := time.LoadLocation(asked.zone); err != nil {
		return usageError("--tz must be a time zone such as Europe/Berlin, not %q", asked.zone)
	}
	opts.Stdout, opts.Stderr = os.Stderr, os.Stderr // what the app prints must not mix with our JSON
	loaded, err := p.loadBeat(ctx, opts)
	if err != nil {
		return err
	}
	zone, err := previewZone(asked.zone, loaded.info.Timezone)
	if err != nil {
		return err
	}
	from, until, err := previewSpan(asked, zone, time.Now())
	if err != nil {
		return err
	}
	entries, err := p.previewEntries(loaded.entries, asked)
	if err != nil {
		return err
	}
	return writePreview(p.stdout, entries, taskNames(loaded.entries), from, until, zone, table)
}

// beatApp is an app as `beat preview` and `beat status` need it.
type beatApp struct {
	info    app.Info
	entries []app.Entry
}

// startBeat loads the app, and ends the process that has.
func startBeat(ctx context.Context, opts app.Options) (beatApp, error) {
	loaded, err := app.Start(ctx, opts)
	if err != nil {
		return beatApp{}, err
	}
	defer loaded.Close() //nolint:errcheck // it always ends
	return beatApp{loaded.Info(), loaded.Entries()}, nil
}

// loadBeat gives errors their exit code.
func (p *program) loadBeat(ctx context.Context, opts app.Options) (beatApp, error) {
	loaded, err := p.startBeat(ctx, opts)
	if failed := (*app.LoadError)(nil); errors.As(err, &failed) {
		return loaded, exitError{supervisor.ExitApp, fmt.Errorf("the app does not load: %w", err)}
	}
	return loaded, err
}

func previewZone(wanted, apps string) (*time.Location, error) {
	if wanted == "" {
		wanted = apps
	}
	zone, err := time.LoadLocation(wanted)
	if err != nil {
		return nil, usageError("the app's time zone %q is not known here; name one with --tz", wanted)
	}
	return zone, nil
}

// previewSpan reads --from and --until.
func previewSpan(asked previewing, zone *time.Location, now time.Time) (from, until time.Time, err error) {
	from = now
	if asked.from != "" {
		if from, err = readMoment(asked.from, zone); err != nil {
			return from, until, usageError("--from %w", err)
		}
	}
	until = from.Add(24 * time.Hour)
	if asked.until != "" {
		if length, err := time.ParseDuration(asked.until); err == nil {
			until = from.Add(length)
		} else if until, err = readMoment(asked.until, zone); err != nil {
			return from, until, usageError("--until %w", err)
		}
	}
	if until.Before(from) {
		return from, until, usageError("--until (%s) is before --from (%s)", until.Format(time.RFC3339), from.Format(time.RFC3339))
	}
	return from, until, nil
}

// readMoment takes RFC 3339, and what people leave out of it.
func readMoment(text string, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("must be a time such as 2026-03-29T01:30:00Z or 2026-03-29T02:30, not %q", text)
}

// previewEntries are those that were asked for; stderr has the names of those that
// cannot be foretold.
func (p *program) previewEntries(all []app.Entry, asked previewing) ([]planner.Entry, error) {
	if asked.entry != "" {
		at := slices.IndexFunc(all, func(e app.Entry) bool { return e.Name == asked.entry })
		if at < 0 {
			return nil, usageError("there is no entry %q; the app has %s", asked.entry, entryNames(all))
		}
		all = all[at : at+1]
	}
	all, err := inZone(all, asked.zone)
	if err != nil {
		return nil, err
	}
	usable, invalid := leader.Entries(all)
	for _, name := range slices.Sorted(maps.Keys(invalid)) {
		fmt.Fprintf(p.stderr, "crisper: entry %q cannot run: %s\n", name, options.Redact(invalid[name]))
	}
	for _, e := range usable {
		if e.Asks() {
			fmt.Fprintf(p.stderr, "crisper: entry %q is left out: only the app's Python knows its schedule (%s)\n", e.Name, e.Schedule)
		}
	}
	if len(invalid) > 0 && asked.entry != "" {
		return nil, exitError{supervisor.ExitFailure, fmt.Errorf("entry %q cannot run", asked.entry)}
	}
	return usable, nil
}

func entryNames(all []app.Entry) string {
	const most = 10
	var names []string
	for _, e := range all[:min(len(all), most)] {
		names = append(names, fmt.Sprintf("%q", e.Name))
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > most:
		return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(names, ", ")
}

// inZone moves schedules to another time zone.
func inZone(all []app.Entry, zone string) ([]app.Entry, error) {
	if zone == "" {
		return all, nil
	}
	moved := slices.Clone(all)
	for i := range moved {
		var spec map[string]json.RawMessage
		if len(moved[i].Schedule) == 0 || json.Unmarshal(moved[i].Schedule, &spec) != nil || spec["tz"] == nil {
			continue
		}
		spec["tz"], _ = json.Marshal(zone)
		text, err := json.Marshal(spec)
		if err != nil {
			return nil, fmt.Errorf("cannot move the schedule of %q to %s: %w", moved[i].Name, zone, err)
		}
		moved[i].Schedule = text
	}
	return moved, nil
}

func taskNames(all []app.Entry) map[string]string {
	names := make(map[string]string, len(all))
	for _, e := range all {
		names[e.Name] = e.Task
	}
	return names
}

// line is one tick of the preview. Others read it: its form does not change.
type line struct {
	Entry string `json:"entry"`
	Task  string `json:"task"`
	Due   string `json:"due"`
}

func writePreview(w io.Writer, entries []planner.Entry, tasks map[string]string, from, until time.Time, zone *time.Location, table bool) error {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	width := 5
	for _, e := range entries {
		width = max(width, len([]rune(e.Name)))
	}
	if table {
		fmt.Fprintf(out, "%-*s  %-*s  %s\n", len("2006-01-02 15:04:05 +0100"), "DUE ("+zone.String()+")", width, "ENTRY", "TASK")
	}
	for coming := range planner.Preview(entries, from, until) {
		task := tasks[coming.Entry]
		var err error
		if table {
			_, err = fmt.Fprintf(out, "%s  %-*s  %s\n", coming.Due.In(zone).Format("2006-01-02 15:04:05 -0700"), width, coming.Entry, task)
		} else {
			err = encoder.Encode(line{coming.Entry, task, coming.Due.UTC().Format(time.RFC3339Nano)})
		}
		if err != nil {
			return fmt.Errorf("cannot print the ticks: %w", err)
		}
	}
	return out.Flush()
}
