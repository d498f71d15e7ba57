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

	"crisper/integration/harness"
	"crisper/integration/page"
	"crisper/integration/program"
)

func main() { program.Main("bench", run) }

// settings are the flags.
type settings struct {
	rows, only, json, page string
	profile, from          string
	rounds, tasks, factor  int
	smoke, peers, write    bool
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&s.rows, "rows", "", "experiments to run, separated by commas; default: all ("+strings.Join(names(), ", ")+")")
	set.StringVar(&s.only, "only", "", "measure one side only, celery or crisper (no ratios then)")
	set.IntVar(&s.rounds, "rounds", 0, "rounds of each experiment")
	set.IntVar(&s.tasks, "tasks", 0, "messages for Celery in a throughput round")
	set.IntVar(&s.factor, "factor", 0, "times as many messages for Crisper")
	set.BoolVar(&s.smoke, "smoke", false, "run everything once and tiny, to see that it works; the figures mean nothing")
	set.BoolVar(&s.peers, "peers", true, "measure Dramatiq and Huey too (not with -smoke)")
	set.StringVar(&s.profile, "profile", "", "sample the children's Python into this folder; read it with integration/tools/profile_app.py")
	set.StringVar(&s.json, "json", "", "write all values to this file")
	set.StringVar(&s.from, "from", "", "measure nothing: show, or -write, what an earlier run wrote with -json")
	set.BoolVar(&s.write, "write", false, "write the measured part of the page")
	set.StringVar(&s.page, "page", "docs/benchmarks.md", "the page, from the repository's root")
	err := set.Parse(args)
	return s, err
}

func (s settings) size() size {
	z := full
	if s.smoke {
		z = smoke
	}
	for _, f := range []struct {
		value int
		into  *int
	}{{s.rounds, &z.Rounds}, {s.tasks, &z.Tasks}, {s.factor, &z.Factor}} {
		if f.value > 0 {
			*f.into = f.value
		}
	}
	return z
}

func names() []string {
	var all []string
	for _, e := range append(experiments(), peerExperiment()) {
		all = append(all, e.name)
	}
	return all
}

// wants says whether an experiment was asked for.
func (s settings) wants(name string) bool {
	return s.rows == "" || slices.Contains(strings.Split(s.rows, ","), name)
}

func (s settings) check() error {
	for _, name := range strings.Split(s.rows, ",") {
		if name != "" && !slices.Contains(names(), name) {
			return fmt.Errorf("there is no experiment %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err := errors.Join(err, s.check()); err != nil {
		return err
	}
	if s.from != "" {
		return s.again(out)
	}
	bed, err := harness.Make(harness.Options{Name: "bench"})
	if err != nil {
		return err
	}
	r, err := s.bench(ctx, bed, out)
	if err != nil {
		bed.Close()
		return fmt.Errorf("%w\n%skept: %s", err, bed.Tails(20), bed.Dir)
	}
	bed.Remove()
	return s.publish(r, bed.Root, out)
}

func (s settings) bench(ctx context.Context, bed *harness.Bed, out io.Writer) (report, error) {
	r := report{Size: s.size()}
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	withPeers := s.peers && !s.smoke && s.wants("peers")
	peers := ""
	var err error
	if withPeers {
		if peers, err = peerPython(ctx, bed); err != nil {
			return r, err
		}
	}
	b, err := newBench(ctx, bed, r.Size, peers, s.profile)
	if err != nil {
		return r, err
	}
	r.Facts = gather(ctx, b)
	for _, e := range experiments() {
		if !s.wants(e.name) {
			continue
		}
		o, err := b.measure(ctx, e, s.sides(e.wrapped), say)
		if err != nil {
			return r, err
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	if withPeers {
		o, err := b.measure(ctx, peerExperiment(), peerSides(r.Size), say)
		r.Peers = &o
		return r, err
	}
	return r, nil
}

// again publishes an earlier run; the page is found from the working directory.
func (s settings) again(out io.Writer) error {
	var r report
	if err := program.Kept(s.from, &r); err != nil {
		return err
	}
	s.json = ""
	return s.publish(r, ".", out)
}

func (s settings) sides(wrapped bool) []side {
	all := sides(s.size())
	if wrapped {
		all[1] = wrappedSide()
	}
	return slices.DeleteFunc(all, func(each side) bool { return s.only != "" && each.name != s.only })
}

// publish shows the tables and writes what was asked for.
func (s settings) publish(r report, root string, out io.Writer) error {
	if len(r.Outcomes) > 0 && s.only == "" {
		fmt.Fprintf(out, "\n%s", page.Plain(r.table()))
	}
	if r.Peers != nil {
		fmt.Fprintf(out, "\n%s", page.Plain(r.peerTable()))
	}
	if err := program.Keep(s.json, r); err != nil {
		return err
	}
	if s.write {
		return part.Write(filepath.Join(root, s.page), r.text())
	}
	return nil
}
