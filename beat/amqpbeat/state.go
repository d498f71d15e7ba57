package amqpbeat

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"crisper/beat"
)

// format is the number of the text's layout.
const format = 1

// kept is what is known of one entry.
type kept struct{ last, count int64 } // last in us of Unix time

func keep(r beat.Record) kept { return kept{r.Last.UnixMicro(), r.Count} }

func (k kept) record() beat.Record {
	return beat.Record{Last: time.UnixMicro(k.last).UTC(), Count: k.count}
}

// claim is a tick that is about to be sent.
type claim struct {
	entry string
	due   int64
	task  string
}

// state is the text of a store, understood. The text is
//
//	{"format": 1, "token": "7", "snapshot": N, "claims": [["entry", due, "task id"], …]}
//	N bytes: lines ["entry", last, count], compressed
//	lines ["entry", last, count]: the records changed since
//
// so that most writes compress nothing.
type state struct {
	token   uint64
	records map[string]kept
	claims  []claim

	snapshot []byte // compressed; nil: to be made
	journal  []byte
}

type header struct {
	Format   int     `json:"format"`
	Token    uint64  `json:"token,string"`
	Snapshot int     `json:"snapshot"`
	Claims   []tuple `json:"claims,omitempty"`
}

// tuple is a JSON array.
type tuple [3]any

func emptyState() *state { return &state{records: map[string]kept{}} }

// set changes one record.
func (s *state) set(entry string, k kept) {
	s.records[entry] = k
	if s.snapshot != nil {
		s.journal = appendLine(s.journal, entry, k)
	}
}

// drop removes a record. The snapshot is made anew.
func (s *state) drop(entry string) {
	delete(s.records, entry)
	s.snapshot, s.journal = nil, nil
}

func appendLine(text []byte, entry string, k kept) []byte {
	line, _ := json.Marshal(tuple{entry, k.last, k.count}) // strings and integers have a JSON form
	return append(append(text, line...), '\n')
}

// encode writes the text. The journal is folded into the snapshot when it has
// outgrown it.
func (s *state) encode() []byte {
	if s.snapshot == nil || len(s.journal) > max(8<<10, len(s.snapshot)/2) {
		s.fold()
	}
	h := header{Format: format, Token: s.token, Snapshot: len(s.snapshot)}
	for _, c := range s.claims {
		h.Claims = append(h.Claims, tuple{c.entry, c.due, c.task})
	}
	first, _ := json.Marshal(h) // as above
	return slices.Concat(first, []byte("\n"), s.snapshot, s.journal)
}

func (s *state) fold() {
	var lines []byte
	for _, entry := range slices.Sorted(maps.Keys(s.records)) {
		lines = appendLine(lines, entry, s.records[entry])
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(lines) // a buffer takes everything
	_ = w.Close()
	s.snapshot, s.journal = b.Bytes(), nil
}

// decode reads a text; none yet is an empty state.
func decode(text []byte) (*state, error) {
	if len(text) == 0 {
		return emptyState(), nil
	}
	first, rest, found := bytes.Cut(text, []byte("\n"))
	var h header
	if err := json.Unmarshal(first, &h); err != nil || !found {
		return nil, errors.New("cannot read the records: the first line is not theirs")
	}
	if h.Format != format {
		return nil, fmt.Errorf("cannot read the records: they have format %d, this version of crisper knows %d", h.Format, format)
	}
	if h.Snapshot < 0 || h.Snapshot > len(rest) {
		return nil, errors.New("cannot read the records: the text is cut off")
	}
	s := &state{token: h.Token, records: map[string]kept{}, snapshot: slices.Clone(rest[:h.Snapshot]), journal: slices.Clone(rest[h.Snapshot:])}
	for _, c := range h.Claims {
		entry, _ := c[0].(string)
		due, _ := c[1].(float64) // exact: moments in us are below 2^53
		task, _ := c[2].(string)
		s.claims = append(s.claims, claim{entry, int64(due), task})
	}
	lines, err := unpack(s.snapshot)
	if err == nil {
		err = s.read(lines)
	}
	if err == nil {
		err = s.read(s.journal)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the records: %w", err)
	}
	return s, nil
}

// unpacked bounds what a damaged or hostile text can grow to.
const unpacked = 256 << 20

func unpack(snapshot []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(snapshot))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, unpacked))
}

func (s *state) read(lines []byte) error {
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\n"))
		lines = rest
		var entry string
		var k kept
		if err := json.Unmarshal(line, &[]any{&entry, &k.last, &k.count}); err != nil {
			return err
		}
		s.records[entry] = k
	}
	return nil
}
