package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// tellEvery is how often a long round says how far it is.
const tellEvery = 2 * time.Minute

// tellProgress says how far each side is, until ctx ends.
func (r *runner) tellProgress(ctx context.Context, number int, sides []string) {
	ticks := time.NewTicker(tellEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		var lines []string
		for _, side := range sides {
			// A side that has written nothing yet has begun nothing, and one that is broken
			// says so itself.
			text, _ := os.ReadFile(r.results(number, side))
			lines = append(lines, side+": "+progressOf(text))
		}
		r.say("round %d: %s", number, strings.Join(lines, "; "))
	}
}

// progressOf reads results that are still being written: the last line may be half of one.
func progressOf(results []byte) string {
	var chosen, done, failed int
	for line := range bytes.Lines(results) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch e.Event {
		case "chosen":
			chosen++
		case "test":
			done++
			if e.Outcome == "failed" {
				failed++
			}
		}
	}
	return fmt.Sprintf("%d of %d tests, %d failed", done, chosen, failed)
}
