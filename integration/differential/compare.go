package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// record is what one side saw: by case, by category.
type record map[string]map[string]any

// difference is one field that is not the same.
type difference struct {
	Setting string `json:"setting"` // of the run: signals, events
	Case    string `json:"case"`
	Field   string `json:"field"`
	Stock   string `json:"stock"`
	Crisper string `json:"crisper"`
	Reason  string `json:"reason,omitempty"` // why it is wanted
}

// compare lists what differs, by case and field.
func compare(setting string, stock, crisper record) []difference {
	var all []difference
	for _, name := range union(stock, crisper) {
		s, c := flatten(stock[name]), flatten(crisper[name])
		for _, field := range union(s, c) {
			if s[field] != c[field] {
				all = append(all, difference{Setting: setting, Case: name, Field: field, Stock: s[field], Crisper: c[field]})
			}
		}
	}
	return all
}

func union[V any](a, b map[string]V) []string {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// flatten makes a field of each value that is no map; a list is one value, one
// element a line, because its order counts. What is empty is the same as nothing.
func flatten(categories map[string]any) map[string]string {
	fields := map[string]string{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for k, v := range value {
				walk(strings.TrimPrefix(path+"/"+k, "/"), v)
			}
		case []any:
			var lines []string
			for _, v := range value {
				lines = append(lines, text(v))
			}
			if len(lines) > 0 {
				fields[path] = strings.Join(lines, "\n")
			}
		default:
			fields[path] = text(value)
		}
	}
	walk("", any(categories))
	return fields
}

func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	out, err := json.Marshal(value) // keys sorted
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(out)
}

// wanted is one line of wanted.txt: what may differ, and why.
type wanted struct {
	cases, field *regexp.Regexp
	// stock and crisper are what the lines that differ must match.
	stock, crisper *regexp.Regexp
	reason         string
	sometimes      bool // does not happen in every run
	anyOrder       bool // it is the order of the same lines that may differ
	line           int
	used           int
}

// readWanted reads blocks of lines: case, field, stock, crisper, why, and for what
// depends on chance "sometimes: yes"; "order: any" in place of stock and crisper.
func readWanted(path string) ([]*wanted, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the wanted differences: %w", err)
	}
	var all []*wanted
	number := 0
	current := map[string]string{}
	for line := range strings.Lines(string(content) + "\n") {
		number++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if line == "" {
			if len(current) > 0 {
				w, err := parseWanted(current)
				if err != nil {
					return nil, fmt.Errorf("%s, above line %d: %w", path, number, err)
				}
				w.line = number - 1
				all = append(all, w)
				current = map[string]string{}
			}
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		current[key] = strings.TrimSpace(value)
	}
	return all, nil
}

func parseWanted(fields map[string]string) (*wanted, error) {
	w := &wanted{reason: fields["why"], sometimes: fields["sometimes"] == "yes", anyOrder: fields["order"] == "any"}
	if w.reason == "" {
		return nil, fmt.Errorf("a wanted difference has no reason (why:)")
	}
	for key, into := range map[string]**regexp.Regexp{"case": &w.cases, "field": &w.field, "stock": &w.stock, "crisper": &w.crisper} {
		re, err := regexp.Compile("^(?:" + fields[key] + ")$")
		if err != nil {
			return nil, fmt.Errorf("cannot read the pattern of %s: %w", key, err)
		}
		*into = re
	}
	return w, nil
}

// covers tells whether the difference is this one, and only this one: once the lines
// that only one side has and that are wanted to be so are gone, nothing differs.
func covers(all []*wanted, d difference) (reason string, ok bool) {
	stock, crisper := only(d.Stock, d.Crisper), only(d.Crisper, d.Stock)
	sameLines := len(stock) == 0 && len(crisper) == 0
	var reasons []string
	for _, w := range all {
		if !w.cases.MatchString(d.Case) || !w.field.MatchString(d.Field) {
			continue
		}
		if w.anyOrder {
			if sameLines {
				reasons = append(reasons, w.reason)
				w.used++
			}
			continue
		}
		lessStock, hitStock := without(stock, w.stock)
		lessCrisper, hitCrisper := without(crisper, w.crisper)
		if hitStock || hitCrisper {
			stock, crisper = lessStock, lessCrisper
			reasons = append(reasons, w.reason)
			w.used++
		}
	}
	return strings.Join(reasons, "; "), len(stock) == 0 && len(crisper) == 0 && len(reasons) > 0
}

// only are the lines of a that b does not have as often.
func only(a, b string) []string {
	count := map[string]int{}
	for _, line := range strings.Split(b, "\n") {
		count[line]++
	}
	var left []string
	for _, line := range strings.Split(a, "\n") {
		if count[line]--; count[line] < 0 && line != "" {
			left = append(left, line)
		}
	}
	return left
}

func without(lines []string, pattern *regexp.Regexp) (left []string, hit bool) {
	for _, line := range lines {
		if pattern.MatchString(line) {
			hit = true
		} else {
			left = append(left, line)
		}
	}
	return left, hit
}
