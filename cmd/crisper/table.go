package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"maps"

	"crisper/supervisor/ops"
)

// writeState draws the state for a terminal.
func writeState(w io.Writer, s ops.State, color bool) {
	paint := painter(color)
	fmt.Fprintf(w, "%s  %s  up %s  pid %d  crisper %s  %s\n", paint("bold", s.Hostname), paint(phaseColor(s.Phase), s.Phase),
		age(s.Now.Sub(s.StartedAt).Seconds()), s.PID, s.Version, s.Runtime)
	if s.Runtime == "exec" || s.Runtime == "celery" {
		// The command, or each worker, speaks to the broker by itself.
		fmt.Fprintf(w, "runs %s\n", s.App)
	} else {
		fmt.Fprintf(w, "app %s  python %s  celery %s  broker %s\n", s.App, s.Python, s.Celery, brokerLine(s.Broker, paint))
	}
	if s.ReloadError != "" {
		fmt.Fprintf(w, "%s  %s\n", paint("red", "reload"), s.ReloadError)
	}
	if s.Cgroup.LimitBytes > 0 {
		fmt.Fprintf(w, "memory %s of %s\n", size(s.Cgroup.CurrentBytes), size(s.Cgroup.LimitBytes))
	}
	writeSlots(w, s.Slots, paint)
	if s.Runtime == "exec" {
		return
	}
	writeQueues(w, s.Queues, paint)
	d, t := s.Deliveries, s.Tasks
	fmt.Fprintf(w, "\nin hand   reserved %d  scheduled %d  queued %d  active %d  settling %d\n", d.Reserved, d.Scheduled, d.Queued, d.Active, d.Settling)
	fmt.Fprintf(w, "tasks     received %d  succeeded %d  failed %d  retried %d  rejected %d  revoked %d  lost %d  parked %d  restored %d\n",
		t.Received, t.Succeeded, t.Failed, t.Retried, t.Rejected, t.Revoked, t.Lost, t.Parked, t.Restored)
}

func writeSlots(w io.Writer, slots []ops.SlotState, paint painting) {
	rows := [][]string{{"SLOT", "STATE", "PID", "GEN", "DONE", "AGE", "MEMORY", "TASK"}}
	for _, slot := range slots {
		task := ""
		if slot.Task != nil {
			task = fmt.Sprintf("%s[%s] %s", slot.Task.Name, slot.Task.ID, age(slot.Task.RunningSeconds))
		}
		state := slot.State
		if slot.Reason != "" && (slot.State == "draining" || slot.State == "killing" || slot.State == "backoff") {
			state += " (" + slot.Reason + ")"
		}
		rows = append(rows, []string{
			fmt.Sprint(slot.Slot), state, number(slot.PID), number(slot.Generation), fmt.Sprint(slot.TasksDone),
			age(slot.AgeSeconds), size(slot.MemoryBytes), task,
		})
	}
	writeTable(w, rows, func(row, column int, cell string) string {
		if column == 1 {
			return paint(stateColor(slots[row].State), cell)
		}
		return cell
	}, paint)
}

func writeQueues(w io.Writer, queues map[string]ops.Queue, paint painting) {
	if len(queues) == 0 {
		return
	}
	rows := [][]string{{"QUEUE", "READY", "UNACKED", "SCHEDULED", "OLDEST"}}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		q := queues[name]
		rows = append(rows, []string{name, fmt.Sprint(q.Ready), fmt.Sprint(q.Unacked), fmt.Sprint(q.Scheduled), age(q.OldestAgeSeconds)})
	}
	writeTable(w, rows, func(_, _ int, cell string) string { return cell }, paint)
}

// writeTable aligns columns first and paints afterwards, because colours have a
// length but no width.
func writeTable(w io.Writer, rows [][]string, dress func(row, column int, cell string) string, paint painting) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	fmt.Fprintln(w)
	for i, row := range rows {
		var line strings.Builder
		for j, cell := range row {
			padded := cell + strings.Repeat(" ", widths[j]-len([]rune(cell))+2)
			if i == 0 {
				line.WriteString(paint("dim", padded))
			} else {
				line.WriteString(dress(i-1, j, padded))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

type painting func(color, text string) string

func painter(on bool) painting {
	codes := map[string]string{"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}
	return func(color, text string) string {
		if !on || codes[color] == "" {
			return text
		}
		return "\x1b[" + codes[color] + "m" + text + "\x1b[0m"
	}
}

func stateColor(state string) string {
	switch state {
	case "busy":
		return "green"
	case "starting", "draining":
		return "yellow"
	case "killing", "backoff":
		return "red"
	case "empty":
		return "dim"
	}
	return ""
}

func phaseColor(phase string) string {
	if phase == "ready" {
		return "green"
	}
	return "yellow"
}

func brokerLine(b ops.BrokerState, paint painting) string {
	if b.Connected {
		return b.Server + " " + paint("green", "connected")
	}
	return strings.TrimSpace(b.Server + " " + paint("red", "not connected") + " " + b.Error)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func size(bytes int64) string {
	switch {
	case bytes <= 0:
		return "-"
	case bytes >= 10<<30:
		return fmt.Sprintf("%d GiB", bytes>>30)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
