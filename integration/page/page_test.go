package page

import "testing"

func TestOnlyTheMeasuredPartOfAPageIsReplaced(t *testing.T) {
	p := Part{"chaos x", "chaos"}
	once := p.Splice("# Title\n\nprose\n", "1\n")
	const want = "# Title\n\nprose\n\n<!-- measured: chaos x; begin; written by `make chaos` -->\n\n1\n\n<!-- measured: chaos x; end -->\n"
	if once != want {
		t.Errorf("got %q", once)
	}
	if other := (Part{"chaos y", "chaos"}).Splice(once+"tail\n", "2\n"); p.Splice(other, "1\n") != other {
		t.Errorf("got %q", other)
	}
}

func TestColumnsOfATableStandBelowEachOther(t *testing.T) {
	if got := Plain([][]string{{"a", "b"}, {"**ä–ö**", "`c`"}}); got != "a    b\nä–ö  c\n" {
		t.Errorf("got %q", got)
	}
}
