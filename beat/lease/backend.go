package lease

import (
	"context"

	"crisper/beat/lease/election"
)

// Record is the Lease as it was read, or as it is to be written.
type Record = election.Record

// Refusal is an answer that will not pass by itself, such as a missing permission.
type Refusal = election.Refusal

// GaveUp ends Run when there was no answer for Options.GiveUpAfter.
type GaveUp = election.GaveUp

// ErrConflict is the answer to a write that came too late.
var ErrConflict = election.ErrConflict

// Backend keeps one record that several processes can reach. Its methods may be
// called from several goroutines, end when ctx does, and return *Refusal, an error
// that wraps ErrConflict, or any other error for what may pass.
type Backend interface {
	// Read returns the record, the zero Record when there is none.
	Read(ctx context.Context) (Record, error)
	// Write puts next in the place of prev and returns it with its new Version, in
	// one step: ErrConflict when the record is not prev any more (by Version, where
	// "" says that there was none). The Version of next is ignored.
	Write(ctx context.Context, prev, next Record) (Record, error)
	// String names the record, for people.
	String() string
	// Close ends the use of the backend. It does not give the Lease back.
	Close() error
}
