package options

import (
	"path/filepath"
	"slices"
	"strings"
)

// celeryLine is a command line that is `celery … worker …`.
type celeryLine struct {
	// before ends with the word worker, after is what stands behind it; the node name is
	// in neither. All else is as it was written.
	before, after []string
	// given are Celery's options by name, the last one where there are several.
	given map[string]string
}

// readCelery recognises `celery [OPTIONS] worker …` and `python -m celery …`. What a
// shell or another program starts is not looked into.
func readCelery(args []string) (celeryLine, bool) {
	start := afterCelery(args)
	if start == 0 {
		return celeryLine{}, false
	}
	line := celeryLine{before: slices.Clone(args[:start]), given: map[string]string{}}
	table := celerySpellings()
	for i := start; i < len(args) && args[i] != "--"; {
		if !dashed(args[i]) {
			line.before = append(line.before, args[i])
			line.readWorker(table, args[i+1:])
			return line, args[i] == "worker"
		}
		used, _ := line.take(table, args[i:])
		line.before = append(line.before, args[i:i+used]...)
		i += used
	}
	return celeryLine{}, false
}

// readWorker reads what stands behind the word worker.
func (l *celeryLine) readWorker(table map[string]Option, args []string) {
	for i := 0; i < len(args); {
		if args[i] == "--" { // names and values; no options
			l.after = append(l.after, args[i:]...)
			return
		}
		used, kept := l.take(table, args[i:])
		l.after = append(l.after, kept...)
		i += used
	}
}

// take reads the first of args, with the next if that is its value. kept is what stays
// of them without the node name.
func (l *celeryLine) take(table map[string]Option, args []string) (used int, kept []string) {
	switch arg := args[0]; {
	case !dashed(arg):
		return 1, args[:1]
	case strings.HasPrefix(arg, "--"):
		name, value, has := strings.Cut(arg, "=")
		row, known := table[name]
		if !known || row.Kind == Flag {
			if known {
				l.given[row.Name] = "true"
			}
			return 1, args[:1] // the app's own, whose value, if it has one, is the next word
		}
		return l.takeValue(row, args, value, has, nil)
	}
	return l.takeShort(table, args)
}

// takeShort reads letters that may stand together: -Ec4.
func (l *celeryLine) takeShort(table map[string]Option, args []string) (used int, kept []string) {
	arg := args[0]
	for i := 1; i < len(arg); i++ {
		row, known := table["-"+arg[i:i+1]]
		switch {
		case !known:
			return 1, args[:1]
		case row.Kind == Flag:
			l.given[row.Name] = "true"
		default:
			var head []string
			if i > 1 {
				head = []string{arg[:i]}
			}
			return l.takeValue(row, args, arg[i+1:], i+1 < len(arg), head)
		}
	}
	return 1, args[:1]
}

// takeValue notes an option's value, which is in the word itself if has, else the next
// one. head is what stands in the same word before it.
func (l *celeryLine) takeValue(row Option, args []string, value string, has bool, head []string) (used int, kept []string) {
	used = 1
	if !has {
		if len(args) == 1 {
			return 1, args // Celery will complain
		}
		used, value = 2, args[1]
	}
	l.given[row.Name] = value
	if row.Name == "hostname" {
		return used, head
	}
	return used, args[:used]
}

// settings are Celery's options as this command line and the environment have them.
func (l *celeryLine) settings(getenv func(string) string) Settings {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	settings := Settings{}
	for _, row := range append(Global(), Worker()...) {
		setting := unflagged(row, getenv)
		if text, ok := l.given[row.Name]; ok {
			setting = Setting{Option: row, Text: text, Source: "command line", Given: true}
		}
		settings[row.Name] = setting
	}
	return settings
}

func dashed(arg string) bool { return strings.HasPrefix(arg, "-") && arg != "-" }

// afterCelery is the place behind what starts Celery; 0: something else is started.
func afterCelery(args []string) int {
	switch name := filepath.Base(args[0]); {
	case name == "celery":
		return 1
	case strings.HasPrefix(name, "python"):
		for i := 1; i+1 < len(args); i++ {
			switch {
			case args[i] == "-m" && args[i+1] == "celery":
				return i + 2
			case args[i] == "-W" || args[i] == "-X":
				i++
			case !harmlessToPython(args[i]):
				return 0
			}
		}
	}
	return 0
}

// harmlessToPython: a flag with which Python still runs what follows, and the agent in it.
func harmlessToPython(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && strings.Trim(arg[1:], "bBdOquvx") == "" ||
		strings.HasPrefix(arg, "-W") || strings.HasPrefix(arg, "-X")
}

func celerySpellings() map[string]Option {
	table := map[string]Option{}
	for _, row := range append(Global(), Worker()...) {
		for _, name := range append([]string{row.Name}, row.Aliases...) {
			table["--"+name] = row
		}
		if row.Short != "" {
			table["-"+row.Short] = row
		}
	}
	return table
}
