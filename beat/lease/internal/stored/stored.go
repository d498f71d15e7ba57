// Package stored is how a record is written where there is nothing but text: in a
// file and in Redis. The text itself is the record's Version, so a write compares
// the whole of it.
package stored

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"crisper/beat/lease/election"
)

type text struct {
	Holder  string    `json:"holder"`
	Token   uint64    `json:"token"`
	Seconds float64   `json:"duration_seconds"`
	Renewed time.Time `json:"renewed"`
	Locked  bool      `json:"locked,omitempty"` // the holder has the lock beside the file
	Write   string    `json:"write"`            // another with each write, so that no two texts are equal
}

// Encode writes a record. Locked is for the file alone.
func Encode(r election.Record, locked bool) (string, error) {
	var nonce [6]byte
	_, _ = rand.Read(nonce[:]) // never fails
	b, err := json.Marshal(text{
		Holder: r.Holder, Token: r.Token, Seconds: r.Duration.Seconds(),
		Renewed: r.Renewed.UTC(), Locked: locked, Write: hex.EncodeToString(nonce[:]),
	})
	return string(b), err
}

// Decode reads a record back; nothing at all is the zero Record.
func Decode(s string) (r election.Record, locked bool, err error) {
	if s == "" {
		return r, false, nil
	}
	var t text
	if err := json.Unmarshal([]byte(s), &t); err != nil {
		return r, false, fmt.Errorf("cannot read the record %.60q: %w", s, err)
	}
	return election.Record{
		Holder: t.Holder, Token: t.Token, Duration: time.Duration(t.Seconds * float64(time.Second)),
		Renewed: t.Renewed, Version: s,
	}, t.Locked, nil
}
