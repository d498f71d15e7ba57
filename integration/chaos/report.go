package main

import (
	"fmt"
	"slices"

	"crisper/integration/page"
)

// report is one run of the program.
type report struct {
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Machine string `json:"machine"`
	Side    string `json:"side"`
	Rows    []row  `json:"rows"`
}

var headings = []string{"fault", "trials", "tasks", "lost", "doubled", "recorded as failed", "cut off and run again", "recovery p50 / max", "recovery is"}

// beforeCelerys is where the column stands of what Celery's own client lost and doubled,
// in the tables of whole Celery workers.
const beforeCelerys = 5

func (r report) table() [][]string {
	rows, wide := [][]string{headings}, r.Side == wrappedSide || r.Side == besideSide
	for _, each := range r.Rows {
		rows = append(rows, each.cells())
	}
	if !wide {
		return rows
	}
	for i := range rows {
		text := "Celery's own"
		if i > 0 {
			text = r.Rows[i-1].celerys()
		}
		rows[i] = slices.Insert(slices.Clone(rows[i]), beforeCelerys, text)
	}
	return rows
}

// celerys is "–" where no evidence is asked for: then all counts as ours.
func (r row) celerys() string {
	if !r.Evidence || r.Skipped != "" {
		return "–"
	}
	return fmt.Sprintf("%d lost, %d doubled", r.CelerysLost, r.CelerysDoubled)
}

func (r row) cells() []string {
	if r.Skipped != "" {
		return []string{r.Title, r.Skipped, "", "", "", "", "", "", ""}
	}
	n := func(v int) string { return fmt.Sprint(v) }
	again := n(r.Rerun)
	if r.Again > 0 {
		again += fmt.Sprintf(" (and %d in the moment of its settlement)", r.Again)
	}
	return []string{r.Title, n(r.Trials), n(r.Tasks), r.with(r.Lost, r.LostLate), r.with(r.Doubled, r.DoubledLate), n(r.Recorded), again, r.recovered(), r.Recovery}
}

// with shows a number, and where only late-acknowledged tasks have a promise, theirs.
func (r row) with(all, late int) string {
	if r.Promise == "" || all == 0 {
		return fmt.Sprint(all)
	}
	return fmt.Sprintf("**%d** late, %d early", late, all-late)
}

func (r row) recovered() string {
	if len(r.Seconds) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(r.Seconds))
	return page.Duration(sorted[len(sorted)/2]) + " / " + page.Duration(sorted[len(sorted)-1])
}

// part is where a side's table stands.
func (r report) part() page.Part { return page.Part{What: "chaos " + r.Side, Target: "chaos"} }

func (r report) text() string {
	name := map[string]string{crisperSide: "Crisper", stockSide: "Celery's own worker",
		wrappedSide: "`crisper worker --runtime=celery`", besideSide: "Celery's own worker under the same faults"}[r.Side]
	return fmt.Sprintf("%s, measured on %s with `make chaos`, commit %s, on %s.\n\n%s", name, r.Date, r.Commit, r.Machine, page.Markdown(r.table()))
}
