package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// quickBudget is how many seconds of both sides together -quick may take by what was
// measured. The sides run at the same time, so that it lasts about half as long.
const quickBudget = 300

// costs are the seconds that each test that passes on both sides took on both.
func (r report) costs() map[string]float64 {
	costs := map[string]float64{}
	for _, t := range r.Tests {
		if t.Worker && t.Verdict == same {
			costs[t.ID] = slowest(t.Stock) + slowest(t.Crisper)
		}
	}
	return costs
}

func slowest(trials []trial) float64 {
	most := 0.0
	for _, t := range trials {
		most = max(most, t.Seconds)
	}
	return most
}

// cheapest chooses tests, the cheapest first, until the budget is spent.
func cheapest(costs map[string]float64, budget float64) []string {
	var ids []string
	for id := range costs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if costs[a] != costs[b] {
			if costs[a] < costs[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	n, spent := 0, 0.0
	for ; n < len(ids) && spent+costs[ids[n]] <= budget; n++ {
		spent += costs[ids[n]]
	}
	chosen := ids[:n]
	slices.Sort(chosen)
	return chosen
}

// writeQuick writes the choice into a file for external_worker.py.
func writeQuick(path, home string, say func(string, ...any)) error {
	text, err := os.ReadFile(filepath.Join(home, "seconds.json"))
	if err != nil {
		return fmt.Errorf("cannot read what the tests cost: %w", err)
	}
	costs := map[string]float64{}
	if err := json.Unmarshal(text, &costs); err != nil {
		return fmt.Errorf("cannot read what the tests cost: %w", err)
	}
	shaky, err := readReasons(filepath.Join(home, "unsteady.txt"))
	if err != nil {
		return err
	}
	maps.DeleteFunc(costs, func(id string, _ float64) bool { return listed(shaky, id) })
	chosen := cheapest(costs, quickBudget)
	say("%d tests by what they cost", len(chosen))
	if err := os.WriteFile(path, []byte(strings.Join(chosen, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("cannot write the choice of tests: %w", err)
	}
	return nil
}

// record writes what the tests of this run cost, for later quick ones.
func (r report) record(path string) error {
	text, err := json.MarshalIndent(r.costs(), "", " ")
	if err != nil {
		return fmt.Errorf("cannot write what the tests cost: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write what the tests cost: %w", err)
	}
	return nil
}
