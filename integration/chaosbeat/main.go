package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"crisper/integration/page"
	"crisper/integration/program"
)

func main() { program.Main("chaosbeat", run) }

// settings are the flags.
type settings struct {
	rows, json, page, from string
	election, broker       string // brokers, separated by commas
	trials, rabbitTrials   int
	lanes                  int
	write                  bool
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	set := flag.NewFlagSet("chaosbeat", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&s.rows, "rows", "", "faults, separated by commas; default: all ("+strings.Join(names(), ", ")+")")
	set.IntVar(&s.trials, "trials", 10, "trials of each fault")
	set.IntVar(&s.rabbitTrials, "rabbitmq-trials", 0, "trials of each fault with RabbitMQ; default: as many")
	set.IntVar(&s.lanes, "lanes", 3, "rows at the same time, each with replicas and a queue of its own")
	set.StringVar(&s.election, "election", byKubernetes, "kubernetes, redis or file")
	set.StringVar(&s.broker, "broker", onRedis+","+onRabbitMQ, "redis, rabbitmq, or both, separated by a comma")
	set.StringVar(&s.json, "json", "", "write everything to this file")
	set.StringVar(&s.from, "from", "", "break nothing: show, or -write, what an earlier run wrote with -json")
	set.BoolVar(&s.write, "write", false, "write the table into the page")
	set.StringVar(&s.page, "page", "docs/explanation/guarantees-beat.md", "the page, from the repository's root")
	err := set.Parse(args)
	if err == nil {
		err = s.check()
	}
	return s, err
}

func (s settings) check() error {
	for _, name := range strings.Split(s.rows, ",") {
		if name != "" && !slices.Contains(names(), name) {
			return fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	for _, name := range s.brokers() {
		if name != onRedis && name != onRabbitMQ {
			return fmt.Errorf("there is no broker %q", name)
		}
	}
	switch {
	case s.trials < 1 || s.lanes < 1 || s.rabbitTrials < 0:
		return errors.New("-trials and -lanes must be at least 1")
	case !slices.Contains([]string{byKubernetes, byRedis, byFile}, s.election):
		return fmt.Errorf("there is no election by %q", s.election)
	case s.election == byRedis && slices.Contains(s.brokers(), onRabbitMQ):
		return errors.New("crisper beat refuses --election=redis with RabbitMQ")
	}
	return nil
}

func (s settings) brokers() []string { return strings.Split(s.broker, ",") }

// trialsOn is how often each fault is done with a broker.
func (s settings) trialsOn(broker string) int {
	if broker == onRabbitMQ && s.rabbitTrials > 0 {
		return s.rabbitTrials
	}
	return s.trials
}

func (s settings) wants(f fault) bool {
	return s.rows == "" || slices.Contains(strings.Split(s.rows, ","), f.name)
}

func names() []string {
	var all []string
	for _, f := range faults() {
		all = append(all, f.name)
	}
	return all
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	all, err := s.reports(ctx, out)
	if err != nil {
		return err
	}
	for _, r := range all {
		fmt.Fprintf(out, "\nElection by %s, messages on %s:\n%s", r.Election, r.Broker, page.Plain(r.table()))
	}
	// What an interrupted run has found is worth as much as it says.
	if err := s.save(context.WithoutCancel(ctx), noted(ctx, all)); err != nil {
		return err
	}
	var bad []error
	for _, r := range all {
		bad = append(bad, judgeRows(r))
	}
	if ctx.Err() != nil {
		bad = append(bad, errors.New("interrupted"))
	}
	return errors.Join(bad...)
}

// noted has reports say that they are not whole.
func noted(ctx context.Context, all []report) []report {
	for i := range all {
		all[i].Interrupted = all[i].Interrupted || ctx.Err() != nil
	}
	return all
}

// reports are those of a new run, or with -from of an earlier one.
func (s settings) reports(ctx context.Context, out io.Writer) ([]report, error) {
	if s.from == "" {
		return s.carryOut(ctx, out)
	}
	var all []report
	err := program.Kept(s.from, &all)
	return all, err
}

func (s settings) save(ctx context.Context, all []report) error {
	if err := program.Keep(s.json, all); err != nil || !s.write {
		return err
	}
	root, err := program.Root(ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if len(r.Rows) == 0 { // interrupted before it began: what the page has is more
			continue
		}
		if err := r.part().Write(filepath.Join(root, s.page), r.text()); err != nil {
			return err
		}
	}
	return nil
}

// judgeRows fails the program when a promise was broken.
func judgeRows(r report) error {
	var bad []error
	for _, each := range r.Rows {
		if !each.clean() {
			bad = append(bad, fmt.Errorf("%s: missed %d, doubled %d, stray %d, notes %q, %d trials could not be carried out; kept: %s",
				each.Name, each.Missed, each.Doubled, each.Stray, slices.Compact(each.Notes), len(each.Errors), strings.Join(each.Kept, " ")))
		}
	}
	return errors.Join(bad...)
}
