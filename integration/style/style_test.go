package style

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "crisper"

// pure packages decide and do nothing: no clock, no chance, no goroutine, no I/O.
// They import the standard library and each other.
var pure = map[string]bool{
	"broker": true, "broker/celerymsg": true,
	"supervisor/pool": true, "supervisor/consumer": true, "supervisor/ledger": true,
	"supervisor/events": true, "supervisor/control": true,
	"supervisor/command": true, "supervisor/celery/held": true, "supervisor/celery/hang": true,
	"beat": true, "beat/schedule": true, "beat/planner": true, "beat/message": true, "beat/lease/election": true,
}

// impure are the packages that a pure one has no use for.
var impure = map[string]string{
	"context": "cancels", "sync": "locks", "sync/atomic": "shares", "math/rand": "is chance", "math/rand/v2": "is chance",
	"os": "does I/O", "os/exec": "does I/O", "os/signal": "does I/O", "net": "does I/O", "net/http": "does I/O", "log": "logs", "log/slog": "logs",
}

// allowed are the exceptions, each with its reason.
var allowed = map[[2]string]string{
	{"broker", "context"}: "it declares the interface whose implementations wait",
	{"beat", "context"}:   "it declares the interface whose implementations wait",
}

// clocks are the functions of package time that read or await the present.
var clocks = map[string]bool{
	"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Sleep": true,
	"NewTimer": true, "NewTicker": true, "Tick": true,
}

// file is one parsed source file of the repository.
type file struct {
	path, pkg string // "supervisor/pool/life.go", "supervisor/pool"
	test      bool
	set       *token.FileSet
	ast       *ast.File
}

func (f file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

func TestPackagesImportInOneDirectionOnly(t *testing.T) {
	for _, f := range sources(t) {
		for _, spec := range f.ast.Imports {
			target, ours := ourPackage(spec)
			if ours && !f.test {
				if rule := forbidden(f.pkg, target); rule != "" {
					t.Errorf("%s: %s imports %s, but %s", f.at(spec), f.pkg, target, rule)
				}
			}
		}
	}
}

// forbidden tells the rule that an import breaks, or nothing.
func forbidden(from, to string) string {
	switch top, target := first(from), first(to); {
	case pure[from] && !pure[to]:
		return "a pure package imports the standard library and pure packages only"
	case target == "integration" && top != "integration":
		return "nothing that ships stands on the tests"
	case target == "cmd" && top != "cmd":
		return "nothing imports a command"
	case top == "broker" && target != "broker":
		return "broker imports none of ours"
	case top == "supervisor" && target == "beat":
		return "the supervisor does not stand on beat"
	case top == "supervisor" && (to == "broker/redisbroker" || to == "broker/amqpbroker"):
		return "broker clients are chosen in cmd and passed in"
	case top == "beat" && target == "supervisor" && !groundRoom(to):
		return "beat stands on the supervisor's ground rooms (agent, wire, process, ops) only"
	}
	return ""
}

func groundRoom(pkg string) bool {
	switch pkg {
	case "supervisor/agent", "supervisor/wire", "supervisor/process", "supervisor/ops":
		return true
	}
	return false
}

func TestPurePackagesImportNothingThatActs(t *testing.T) {
	for _, f := range sources(t) {
		if !pure[f.pkg] || f.test {
			continue
		}
		for _, spec := range f.ast.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if what := impure[name]; what != "" && allowed[[2]string{f.pkg, name}] == "" {
				t.Errorf("%s: pure package %s imports %s, which %s", f.at(spec), f.pkg, name, what)
			}
			if strings.Contains(first(name), ".") {
				t.Errorf("%s: pure package %s imports %s, which is not the standard library", f.at(spec), f.pkg, name)
			}
		}
	}
}

func TestPurePackagesReadNoClockAndStartNothing(t *testing.T) {
	for _, f := range sources(t) {
		if !pure[f.pkg] || f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: pure package %s starts a goroutine", f.at(n), f.pkg)
			case *ast.SelectorExpr:
				if name, ok := timeFunction(n); ok && clocks[name] {
					t.Errorf("%s: pure package %s calls time.%s; take now as a parameter", f.at(n), f.pkg, name)
				}
			}
			return true
		})
	}
}

func TestNoTestSleepsWithoutSayingWhy(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test {
			continue
		}
		said := commentedLines(f)
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				line := f.set.Position(sel.Pos()).Line
				if name, ok := timeFunction(sel); ok && name == "Sleep" && !said[line] && !said[line-1] {
					t.Errorf("%s: time.Sleep in a test without a comment that says why no event can be waited for", f.at(sel))
				}
			}
			return true
		})
	}
}

func TestNoFileOrFunctionIsTooLongToRead(t *testing.T) {
	const longestFunction, longestFile, longestTestFile = 70, 600, 800
	for _, f := range sources(t) {
		limit := longestFile
		if f.test {
			limit = longestTestFile
		}
		if lines := f.set.Position(f.ast.End()).Line; lines > limit {
			t.Errorf("%s has %d lines, more than %d", f.path, lines, limit)
		}
		for _, decl := range f.ast.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || f.test {
				continue // a test's table may be as long as the behaviour that it tells
			}
			lines := f.set.Position(function.End()).Line - f.set.Position(function.Pos()).Line + 1
			if lines > longestFunction {
				t.Errorf("%s: %s has %d lines, more than %d", f.at(function), function.Name.Name, lines, longestFunction)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		if !f.test {
			documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil
		}
	}
	for pkg, yes := range documented {
		if !yes {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// sources parses every Go file of the repository.
func sources(t *testing.T) []file {
	t.Helper()
	root := "../.."
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, rel, text, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, file{path: rel, pkg: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), set: set, ast: parsed})
		return err
	})
	if err != nil {
		t.Fatalf("cannot read the sources: %v", err)
	}
	return files
}

func ourPackage(spec *ast.ImportSpec) (string, bool) {
	name, _ := strconv.Unquote(spec.Path.Value)
	return strings.CutPrefix(name, module+"/")
}

func first(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

func timeFunction(sel *ast.SelectorExpr) (string, bool) {
	pkg, ok := sel.X.(*ast.Ident)
	return sel.Sel.Name, ok && pkg.Name == "time"
}

func commentedLines(f file) map[int]bool {
	lines := map[int]bool{}
	for _, group := range f.ast.Comments {
		from, to := f.set.Position(group.Pos()).Line, f.set.Position(group.End()).Line
		for line := from; line <= to; line++ {
			lines[line] = true
		}
	}
	return lines
}
