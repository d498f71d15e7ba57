package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// twin is a crontab that knows nothing but how to ask the clock for each minute.
// It says what the documentation says, slowly.
type twin struct {
	*Crontab
	sets [5]set
}

// matches reads one wall clock.
func (w twin) matches(wall time.Time) bool {
	return w.sets[0].has(wall.Minute()) && w.sets[1].has(wall.Hour()) && w.sets[2].has(wall.Day()) &&
		w.sets[3].has(int(wall.Month())) && w.sets[4].has(int(wall.Weekday()))
}

// next walks elapsed minutes. The clock shows a minute again when an earlier moment
// within two days showed it; it jumped over those between two moments' walls.
func (w twin) next(last time.Time, most int) (time.Time, bool) {
	shown := wallOf(last, w.zone)
	moment := last.Truncate(time.Minute)
	for range most {
		before := wallOf(moment, w.zone)
		moment = moment.Add(time.Minute)
		wall := wallOf(moment, w.zone)
		for gap := before.Add(time.Minute); gap.Before(wall); gap = gap.Add(time.Minute) {
			if w.matches(gap) && gap.After(shown) {
				return moment.Add(gap.Sub(before) - time.Minute), true
			}
		}
		if w.matches(wall) && (w.byRealTime || !w.repeated(moment, wall)) {
			return moment, true
		}
	}
	return time.Time{}, false
}

func (w twin) repeated(moment, wall time.Time) bool {
	for back := time.Minute; back <= 25*time.Hour; back += 30 * time.Minute {
		for _, d := range []time.Duration{back, back + 29*time.Minute} {
			earlier := moment.Add(-d)
			if !wallOf(earlier, w.zone).Before(wall) {
				return true
			}
		}
	}
	return false
}

var twinZones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Atlantic/Azores",
	"Asia/Kolkata", "Africa/Casablanca", "America/Sao_Paulo", "Antarctica/Troll", "Europe/Dublin", "America/St_Johns",
}

func TestCrontabsAgreeWithASearchMinuteByMinute(t *testing.T) {
	seed := rand.Uint64()
	draw := rand.New(rand.NewPCG(seed, 0))
	trials := 1000
	if testing.Short() {
		trials = 300
	}
	for range trials {
		in := zone(t, twinZones[draw.IntN(len(twinZones))])
		texts := randomCrontab(draw)
		c, err := ParseCrontab(texts[0], texts[1], texts[2], texts[3], texts[4])
		if err != nil {
			continue
		}
		w := twin{Crontab: c.In(in)}
		for i, f := range fields {
			w.sets[i], _ = f.parse(texts[i])
		}
		last := nearAChange(draw, in)
		want, found := w.next(last, 4*24*60)
		got := w.Next(last)
		if found && !got.Equal(want) || !found && got.Before(last.Add(4*24*time.Hour)) {
			t.Fatalf("seed %d: %v after %s: %s, the twin says %s", seed, w, last.In(in), got.In(in), want.In(in))
		}
	}
}

// nearAChange is a moment whose clock changes soon, or changed lately, or not.
func nearAChange(draw *rand.Rand, in *time.Location) time.Time {
	moment := time.Unix(1_262_304_000+draw.Int64N(20*365*24*60*60), 0)
	if _, end := moment.In(in).ZoneBounds(); !end.IsZero() && draw.IntN(4) > 0 {
		moment = end.Add(time.Duration(draw.Int64N(int64(8*time.Hour))) - 4*time.Hour)
	}
	return moment
}

// randomCrontab is five fields of Celery's grammar.
func randomCrontab(draw *rand.Rand) [5]string {
	var texts [5]string
	for i, f := range fields {
		texts[i] = randomField(draw, f, []int{3, 3, 6, 8, 6}[i])
	}
	return texts
}

// randomField is a star more often the larger stars is.
func randomField(draw *rand.Rand, f field, stars int) string {
	if draw.IntN(stars+3) < stars {
		return "*"
	}
	parts := make([]string, 1+draw.IntN(3))
	for i := range parts {
		a, b := randomNumber(draw, f), randomNumber(draw, f)
		parts[i] = []string{a, a + "-" + b, fmt.Sprintf("%s-%s/%d", a, b, 1+draw.IntN(9)), fmt.Sprintf("*/%d", 1+draw.IntN(f.max+4)), a, a}[draw.IntN(6)]
	}
	return strings.Join(parts, ",")
}

func randomNumber(draw *rand.Rand, f field) string {
	n := f.min + draw.IntN(f.max-f.min+1)
	switch {
	case f.name == months.name && draw.IntN(2) == 0:
		return monthNames[n-1]
	case f.name == weekdays.name && draw.IntN(2) == 0:
		return dayNames[n]
	}
	return fmt.Sprint(n)
}
