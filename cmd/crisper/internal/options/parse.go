package options

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check says what is wrong with the text of an option, in a way that follows
// "must be".
func (o Option) check(text string) error {
	_, err := o.read(text)
	return err
}

// read turns the text into the value that its kind has.
func (o Option) read(text string) (any, error) {
	switch o.Kind {
	case Flag:
		return readBool(text)
	case Count:
		return readCount(text)
	case Seconds:
		return readSeconds(text)
	case Duration:
		return readDuration(text)
	case Memory:
		return readMemory(text)
	case Fraction:
		return readFraction(text)
	case List:
		return readList(text), nil
	case Choice:
		return text, oneOf(text, o.Choices)
	case Level:
		return readLevel(text)
	case Autoscale:
		return readAutoscale(text)
	case Concurrency:
		return readConcurrency(text)
	case Octal:
		return readOctal(text)
	case Address:
		return text, checkAddress(text)
	}
	return text, nil
}

// readBool takes the words that click takes.
func readBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "t", "yes", "y", "on":
		return true, nil
	case "", "0", "false", "f", "no", "n", "off":
		return false, nil
	}
	return false, errors.New("yes or no")
}

func readCount(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return 0, errors.New("a whole number, 0 or more")
	}
	return n, nil
}

func readSeconds(text string) (time.Duration, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n < 0 || !fitsDuration(n) {
		return 0, errors.New("a number of seconds, 0 or more")
	}
	return time.Duration(n * float64(time.Second)), nil
}

// readDuration takes Go's durations and bare seconds, because that is what
// terminationGracePeriodSeconds is written in.
func readDuration(text string) (time.Duration, error) {
	if d, err := readSeconds(text); err == nil {
		return d, nil
	}
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < 0 {
		return 0, errors.New("a duration such as 30, 30s or 5m, 0 or more")
	}
	return d, nil
}

func fitsDuration(seconds float64) bool {
	return !math.IsNaN(seconds) && seconds < float64(math.MaxInt64)/float64(time.Second)
}

// memoryUnits are Kubernetes' units, in bytes. A bare number is KiB, as Celery's
// --max-memory-per-child has it.
var memoryUnits = []struct {
	suffix string
	bytes  float64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30},
	{"k", 1e3}, {"M", 1e6}, {"G", 1e9},
	{"", 1 << 10},
}

// readMemory returns bytes.
func readMemory(text string) (int64, error) {
	text = strings.TrimSpace(text)
	for _, unit := range memoryUnits {
		number, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(n) || n < 0 || n*unit.bytes > math.MaxInt64/2 {
			break
		}
		return int64(n * unit.bytes), nil
	}
	return 0, errors.New("a number of KiB, or a size such as 300Mi or 1Gi")
}

func readFraction(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, errors.New("a number between 0 and 1")
	}
	return n, nil
}

func readList(text string) []string {
	var items []string
	for _, item := range strings.Split(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func oneOf(text string, choices []string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return fmt.Errorf("one of %s", strings.Join(choices, ", "))
}

// levels are Celery's, with the numbers of Python's logging.
var levels = map[string]int{"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}

func readLevel(text string) (int, error) {
	number, ok := levels[strings.ToUpper(text)]
	if !ok {
		return 0, errors.New("one of DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL")
	}
	return number, nil
}

// readAutoscale takes "max,min" in any order, or "max". Celery: bin/worker.py,
// Autoscale (5.7).
func readAutoscale(text string) ([2]int, error) {
	wrong := errors.New("MAX,MIN or MAX, two whole numbers")
	parts := strings.Split(text, ",")
	if len(parts) > 2 {
		return [2]int{}, wrong
	}
	var bounds [2]int
	for i, part := range parts {
		n, err := readCount(part)
		if err != nil {
			return [2]int{}, wrong
		}
		bounds[i] = n
	}
	bounds = [2]int{max(bounds[0], bounds[1]), min(bounds[0], bounds[1])}
	if bounds[0] == 0 {
		return [2]int{}, wrong
	}
	return bounds, nil
}

// Auto is the concurrency that is measured.
const Auto = -1

func readConcurrency(text string) (int, error) {
	if strings.EqualFold(strings.TrimSpace(text), "auto") {
		return Auto, nil
	}
	n, err := readCount(text)
	if err != nil {
		return 0, errors.New("a whole number, 0 or more, or auto")
	}
	return n, nil
}

// checkAddress takes what can be listened on. Whether somebody listens there already
// is found when it is tried.
func checkAddress(text string) error {
	wrong := errors.New("an address such as :9810 or 127.0.0.1:9810, or off")
	if text == "off" || text == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return wrong
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return wrong
	}
	return nil
}

func readOctal(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "0o"), 8, 12)
	if err != nil || n > 0o777 {
		return 0, errors.New("an octal number such as 022")
	}
	return int(n), nil
}
