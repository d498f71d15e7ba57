package app

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"crisper/beat/message"
	"crisper/supervisor/wire"
)

// kindEntries carries entries, a length before each part: its JSON, then its
// blueprint, which may be empty. One without entries ends the list.
const kindEntries wire.Kind = 'E'

// reading is the state of the goroutine that reads.
type reading struct {
	parser message.Parser
	pages  [][]Entry // of each frame: they are put together once, as entries are large
	info   *Info     // until the first list of entries is complete
	opened bool
}

// read reads until the end, and says why it ended.
func (a *App) read() error {
	for {
		frame, err := a.control.Next()
		if err != nil {
			return err
		}
		if err := a.onFrame(frame); err != nil {
			return err
		}
	}
}

func (a *App) onFrame(frame wire.Frame) error {
	switch frame.Kind {
	case wire.Loaded:
		a.reading.info = new(Info)
		return unmarshal(frame, a.reading.info)
	case wire.Failed:
		return a.onFailed(frame)
	case kindEntries:
		return a.onEntries(frame.Payload)
	case wire.Answer:
		return a.onAnswer(frame)
	}
	return fmt.Errorf("cannot understand a frame of kind %q from the timekeeper", frame.Kind)
}

func unmarshal(frame wire.Frame, into any) error {
	if err := json.Unmarshal(frame.Payload, into); err != nil {
		return fmt.Errorf("cannot decode a frame of kind %q from the timekeeper: %w", frame.Kind, err)
	}
	return nil
}

func (a *App) onFailed(frame wire.Frame) error {
	var e struct {
		Error     string `json:"error"`
		Traceback string `json:"traceback"`
	}
	if err := unmarshal(frame, &e); err != nil {
		return err
	}
	return &LoadError{Reason: e.Error, Traceback: e.Traceback}
}

// onEntries adds to the list, or shows it when it is complete.
func (a *App) onEntries(payload []byte) error {
	if len(payload) == 0 {
		return a.showEntries()
	}
	r := &a.reading
	var page []Entry
	if n := len(r.pages); n > 0 {
		page = make([]Entry, 0, len(r.pages[n-1])+len(r.pages[n-1])/8) // frames are alike
	}
	text := string(payload) // what is cut from it lives on: one copy for all
	for text != "" {
		entry, rest, err := r.entry(text)
		if err != nil {
			return err
		}
		page, text = append(page, entry), rest
	}
	r.pages = append(r.pages, page)
	return nil
}

func (a *App) showEntries() error {
	r := &a.reading
	a.mu.Lock()
	a.entries = slices.Concat(r.pages...)
	if r.info != nil {
		a.info = *r.info
	}
	a.mu.Unlock()
	if !r.opened {
		if r.info == nil {
			return errors.New("cannot understand the timekeeper: it has entries and is not loaded")
		}
		r.opened = true
		a.opened <- nil
	}
	r.pages, r.info = nil, nil
	return nil
}

// entry reads one. A blueprint that cannot be used is no reason to be without it:
// its messages are asked for.
func (r *reading) entry(text string) (e Entry, rest string, err error) {
	head, rest, err := part(text)
	if err != nil {
		return e, "", err
	}
	blueprint, rest, err := part(rest)
	if err != nil {
		return e, "", err
	}
	if err := json.Unmarshal([]byte(head), &e); err != nil {
		return e, "", fmt.Errorf("cannot decode an entry from the timekeeper: %w", err)
	}
	if blueprint != "" {
		if e.Blueprint, err = r.parser.Parse(blueprint); err != nil {
			e.Ask = err.Error()
		}
	}
	return e, rest, nil
}

func (a *App) onAnswer(frame wire.Frame) error {
	head, rest, err := part(string(frame.Payload))
	if err != nil {
		return err
	}
	got := answer{head: json.RawMessage(head), text: rest}
	var failed struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(got.head, &failed); err != nil {
		return fmt.Errorf("cannot decode an answer of the timekeeper: %w", err)
	}
	if failed.Error != "" {
		got.err = errors.New(failed.Error)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if answers, ok := a.calls[frame.Seq]; ok { // or else its caller has left
		answers <- got
		delete(a.calls, frame.Seq)
	}
	return nil
}

// part cuts what a length precedes.
func part(text string) (value, rest string, err error) {
	if len(text) < 4 {
		return "", "", errors.New("cannot understand the timekeeper: a length is cut off")
	}
	length := uint64(binary.BigEndian.Uint32([]byte(text[:4])))
	if length > uint64(len(text)-4) {
		return "", "", errors.New("cannot understand the timekeeper: a part reaches beyond its frame")
	}
	return text[4 : 4+length], text[4+length:], nil
}
