package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	beatops "crisper/beat/ops"
	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
	"crisper/supervisor/ops"
)

// beatStatus is what `beat status` prints.
type beatStatus struct {
	// Replica is the one on this machine that was asked; nil: only the Lease was.
	Replica *beatops.State `json:"replica,omitempty"`
	Lease   leaseStatus    `json:"lease"`
	Last    []tickStatus   `json:"last"`
	Next    []tickStatus   `json:"next"`
}

type leaseStatus struct {
	Kept   string `json:"kept"` // where
	Leader string `json:"leader"`
	Term   uint64 `json:"term"`
	// Renewed and Until go by the leader's clock.
	Renewed *time.Time `json:"renewed,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
}

type tickStatus struct {
	Entry string    `json:"entry"`
	Task  string    `json:"task"`
	Due   time.Time `json:"due"`
	Count int64     `json:"total_run_count,omitempty"`
}

func (p *program) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status [--socket PATH | -A APP [OPTIONS OF beat]]", DisableFlagsInUseLine: true,
		Short: "Show who leads, the last and the next ticks.",
		Long: `Shows who leads, and the last and the next ticks: a table on a terminal, JSON otherwise. Without -A it asks a beat of this user on
this machine. With -A it reads the Lease, and the records that the broker's Redis has; the election's options are those of beat.`,
		Annotations: map[string]string{rowsOf: "beat"},
		Args:        noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			status, err := p.status(ctx, cmd, args)
			if err != nil {
				return err
			}
			if asJSON || !isTerminal(p.stdout) {
				return p.printJSON(status)
			}
			settings, _ := options.Resolve(cmd.Flags(), options.Global(), p.getenv) // only colour matters here
			writeStatus(p.stdout, status, time.Now(), painter(!settings.On("no-color")))
			return nil
		},
	}
	addBeatFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "JSON also on a terminal.")
	return cmd
}

func (p *program) status(ctx context.Context, cmd *cobra.Command, args []string) (beatStatus, error) {
	settings, problems := options.Resolve(cmd.Flags(), options.Beat(), p.getenv)
	if err := errors.Join(problems...); err != nil {
		return beatStatus{}, exitError{exitUsage, err}
	}
	if socket := settings["socket"]; socket.Given || settings["app"].Text == "" {
		path := ""
		if socket.Given {
			path = socket.Text
		}
		state, err := p.askBeat(ctx, path)
		if err != nil {
			return beatStatus{}, err
		}
		return statusOf(state), nil
	}
	plan, err := p.beatPlan(cmd, args)
	if err != nil {
		return beatStatus{}, err
	}
	return p.remoteStatus(ctx, plan)
}

// askBeat asks the beat at a socket, or the one that was started last.
func (p *program) askBeat(ctx context.Context, socket string) (beatops.State, error) {
	paths := []string{socket}
	if socket == "" {
		paths, _ = ops.FindSockets(p.getenv) // without any, below
	}
	for _, path := range paths {
		state, err := ops.NewClient(path).State(ctx)
		if err != nil && socket != "" {
			return beatops.State{}, err
		}
		if err != nil || state.Runtime != "beat" {
			continue
		}
		return readBeat(state)
	}
	if socket != "" {
		return beatops.State{}, fmt.Errorf("%s is not a beat's", socket)
	}
	return beatops.State{}, exitError{supervisor.ExitFailure, errors.New("no beat of this user runs here; name its socket with --socket, or the app with -A to ask for the Lease")}
}

// readBeat takes a beat's state out of the frame that all of ours have.
func readBeat(state ops.State) (beatops.State, error) {
	var own beatops.State
	text, err := json.Marshal(state.Beat)
	if err == nil {
		err = json.Unmarshal(text, &own)
	}
	if err != nil {
		return own, fmt.Errorf("cannot read the state of the beat: %w", err)
	}
	return own, nil
}

func statusOf(state beatops.State) beatStatus {
	status := beatStatus{Replica: &state, Lease: leaseStatus{Kept: state.Lease, Leader: state.LedBy, Term: state.Term}, Last: []tickStatus{}, Next: []tickStatus{}}
	for _, sent := range state.Last {
		if sent.Outcome == "published" {
			status.Last = append(status.Last, tickStatus{sent.Entry, sent.Task, sent.Due, sent.Count})
		}
	}
	for _, coming := range state.Next {
		status.Next = append(status.Next, tickStatus{coming.Entry, coming.Task, coming.Due, 0})
	}
	return status
}

// remoteStatus reads the Lease and, where somebody else may, the records.
func (p *program) remoteStatus(ctx context.Context, plan options.BeatPlan) (beatStatus, error) {
	status := beatStatus{Last: []tickStatus{}, Next: []tickStatus{}}
	plan.Beat.App.Stdout, plan.Beat.App.Stderr = os.Stderr, os.Stderr
	loaded, err := p.loadBeat(ctx, plan.Beat.App)
	if err != nil {
		return status, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	where := siteOf{plan: plan, log: zap.NewNop()}
	name := scheduleName(plan, loaded.info)
	backend, closeBackend, err := where.backend(loaded.info, name)
	if err != nil {
		return status, err
	}
	defer closeBackend()
	record, err := backend.Read(ctx)
	if err != nil {
		return status, exitError{supervisor.ExitBroker, fmt.Errorf("cannot read %s: %w", backend, err)}
	}
	status.Lease = leaseStatus{Kept: backend.String(), Term: record.Token}
	if record.Held() {
		until := record.Renewed.Add(record.Duration)
		status.Lease.Leader, status.Lease.Renewed, status.Lease.Until = record.Holder, &record.Renewed, &until
	}
	if loaded.info.Transport == "redis" {
		err = recordedTicks(ctx, loaded, name, &status)
	}
	return status, err
}

func writeStatus(w io.Writer, s beatStatus, now time.Time, paint painting) {
	leader := s.Lease.Leader
	if leader == "" {
		leader = paint("red", "nobody")
	}
	fmt.Fprintf(w, "leader %s", paint("bold", leader))
	if s.Lease.Term > 0 {
		fmt.Fprintf(w, "  term %d", s.Lease.Term)
	}
	if s.Lease.Until != nil {
		fmt.Fprintf(w, "  renewed %s ago", age(now.Sub(*s.Lease.Renewed).Seconds()))
	}
	fmt.Fprintf(w, "  %s\n", s.Lease.Kept)
	if r := s.Replica; r != nil {
		writeReplica(w, *r, paint)
	}
	writeTicks(w, "LAST", s.Last, func(due time.Time) string { return age(now.Sub(due).Seconds()) + " ago" }, paint)
	writeTicks(w, "NEXT", s.Next, func(due time.Time) string { return "in " + age(max(0.001, due.Sub(now).Seconds())) }, paint)
}

func writeReplica(w io.Writer, r beatops.State, paint painting) {
	fmt.Fprintf(w, "this replica %s  %s  up %s  pid %d  crisper %s\n", r.Holder, paint(phaseColor(r.Phase), r.Phase), age(r.Now.Sub(r.StartedAt).Seconds()), r.PID, r.Version)
	fmt.Fprintf(w, "app %s  python %s  celery %s  schedule %s  entries %d (%d made by the app, %d invalid)\n",
		r.App, r.Python, r.Celery, r.Schedule, r.Entries.Total, r.Entries.Asked, r.Entries.Invalid)
	for _, trouble := range []string{r.ElectionError, r.AppError, r.Broker.Error} {
		if trouble != "" {
			fmt.Fprintln(w, paint("red", trouble))
		}
	}
	for _, e := range r.Invalid {
		fmt.Fprintln(w, paint("red", e.Entry+": "+e.Error))
	}
	if r.CelerySchedule != "" {
		fmt.Fprintf(w, "the leader runs celery beat: %s\n", r.CelerySchedule)
	}
}

func writeTicks(w io.Writer, title string, ticks []tickStatus, when func(time.Time) string, paint painting) {
	if len(ticks) == 0 {
		return
	}
	const most = 10
	rows := [][]string{{title, "DUE", "ENTRY", "TASK"}}
	for _, t := range ticks[:min(len(ticks), most)] {
		rows = append(rows, []string{when(t.Due), t.Due.UTC().Format(time.RFC3339), t.Entry, t.Task})
	}
	writeTable(w, rows, func(_, _ int, cell string) string { return cell }, paint)
}
