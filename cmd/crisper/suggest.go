package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"crisper/supervisor/agent"
)

// noSuchOption is click's sentence about an option that there is not, with those that
// may have been meant: Celery's commands say the same.
func noSuchOption(name string, known []string) string {
	text := "No such option '" + name + "'."
	meant := alike(name, known)
	for i, option := range meant {
		meant[i] = "'" + option + "'"
	}
	switch len(meant) {
	case 0:
		return text
	case 1:
		return text + " Did you mean " + meant[0] + "?"
	}
	return text + " (Did you mean one of: " + strings.Join(meant, ", ") + "?)"
}

// unknownToApp turns the word of the app, which reads the options that are not ours,
// into that sentence: both its options and ours may have been meant.
func unknownToApp(cmd *cobra.Command, err error) error {
	var unknown agent.NoSuchOption
	if !errors.As(err, &unknown) {
		return nil
	}
	return usageError("%s `%s --help` lists the options", noSuchOption(unknown.Name, append(spellings(cmd), unknown.Known...)), cmd.CommandPath())
}

// spellings are the long options of a command.
func spellings(cmd *cobra.Command) (all []string) {
	allFlags(cmd).VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			all = append(all, "--"+flag.Name)
		}
	})
	return all
}

// Python's difflib.get_close_matches, which click asks: so many, and so much alike.
const (
	alikeAtMost = 3
	alikeEnough = 0.6
)

func alike(word string, known []string) (close []string) {
	if !strings.HasPrefix(word, "--") {
		return nil // one letter is like any other
	}
	known = slices.Compact(slices.Sorted(slices.Values(known)))
	for _, option := range known {
		if likeness(word, option) >= alikeEnough {
			close = append(close, option)
		}
	}
	slices.SortStableFunc(close, func(a, b string) int { return cmp.Compare(likeness(word, b), likeness(word, a)) })
	close = close[:min(len(close), alikeAtMost)]
	slices.Sort(close)
	return close
}

// likeness is the share of both that is the same in the same order, between 0 and 1.
func likeness(a, b string) float64 {
	return 2 * float64(shared(a, b)) / float64(max(1, len(a)+len(b)))
}

// shared is the length of the longest part that both have, and of what is shared on
// either side of it.
func shared(a, b string) int {
	best, atA, atB := 0, 0, 0
	for i := range len(a) {
		for j := range len(b) {
			n := 0
			for i+n < len(a) && j+n < len(b) && a[i+n] == b[j+n] {
				n++
			}
			if n > best {
				best, atA, atB = n, i, j
			}
		}
	}
	if best == 0 {
		return 0
	}
	return best + shared(a[:atA], b[:atB]) + shared(a[atA+best:], b[atB+best:])
}
