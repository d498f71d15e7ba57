package redisbeat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"crisper/beat"
)

// record is the value of an entry in the hash of records.
type record struct {
	last  int64 // us of Unix time
	count int64
	token uint64
	task  string
}

func (r record) String() string { return strconv.FormatInt(r.last, 10) + " " + r.tail() }

// tail is what follows the moment, which the script puts before it.
func (r record) tail() string {
	return strconv.FormatInt(r.count, 10) + " " + strconv.FormatUint(r.token, 10) + " " + r.task
}

func (r record) known() beat.Record {
	return beat.Record{Last: time.UnixMicro(r.last).UTC(), Count: r.count}
}

func parseRecord(text string) (record, error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return record{}, fmt.Errorf("record %q does not have four parts", text)
	}
	var r record
	var errs [3]error
	r.last, errs[0] = strconv.ParseInt(parts[0], 10, 64)
	r.count, errs[1] = strconv.ParseInt(parts[1], 10, 64)
	r.token, errs[2] = strconv.ParseUint(parts[2], 10, 64)
	r.task = parts[3]
	if err := errors.Join(errs[:]...); err != nil {
		return record{}, fmt.Errorf("cannot read record %q: %w", text, err)
	}
	return r, nil
}
