package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"crisper/beat/leader"
	"crisper/broker/redisbroker"
	"crisper/supervisor"
)

// shownTicks is how many of each the status has.
const shownTicks = 50

// recordedTicks reads the records from the broker's Redis (beat/redisbeat) without a
// token: looking changes nothing.
func recordedTicks(ctx context.Context, loaded beatApp, name string, status *beatStatus) error {
	access, err := redisbroker.NewAccess(redisConfig(loaded.info, zap.NewNop()))
	if err != nil {
		return exitError{exitUsage, err}
	}
	client, err := access.Open(ctx, 0, 3*time.Second)
	if err != nil {
		return exitError{supervisor.ExitBroker, fmt.Errorf("cannot read the records: %w", err)}
	}
	defer client.Close()
	found, err := client.HGetAll(ctx, access.Key("crisper.beat.records."+name)).Result()
	if err != nil {
		return exitError{supervisor.ExitBroker, fmt.Errorf("cannot read the records from %s: %w", access.Server(0), err)}
	}
	tasks := taskNames(loaded.entries)
	usable, _ := leader.Entries(loaded.entries)
	for _, e := range usable {
		last, count, err := readRecord(found[e.Name])
		if err != nil {
			continue // not seen by any leader yet
		}
		if count > 0 {
			status.Last = append(status.Last, tickStatus{e.Name, tasks[e.Name], last, count})
		}
		if next := e.Schedule.Next(last); !next.IsZero() {
			status.Next = append(status.Next, tickStatus{Entry: e.Name, Task: tasks[e.Name], Due: next})
		}
	}
	slices.SortStableFunc(status.Last, func(a, b tickStatus) int { return b.Due.Compare(a.Due) })
	slices.SortStableFunc(status.Next, func(a, b tickStatus) int { return a.Due.Compare(b.Due) })
	status.Last = status.Last[:min(len(status.Last), shownTicks)]
	status.Next = status.Next[:min(len(status.Next), shownTicks)]
	return nil
}

// readRecord reads "last count …" of beat/redisbeat's records.
func readRecord(text string) (last time.Time, count int64, err error) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) < 3 {
		return last, 0, fmt.Errorf("cannot read the record %q", text)
	}
	micro, err := strconv.ParseInt(parts[0], 10, 64)
	if err == nil {
		count, err = strconv.ParseInt(parts[1], 10, 64)
	}
	return time.UnixMicro(micro).UTC(), count, err
}
