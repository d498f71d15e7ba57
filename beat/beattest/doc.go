// Package beattest is the conformance suite that every beat.Publisher passes
// (Exercise), and a publisher in memory that passes it too.
//
// A publisher's own tests call Exercise with a World: a broker and a store as
// replicas see them, with their faults. What the suite asks is what package beat
// promises, and nothing about how it is kept: keys, scripts and files are for the
// tests beside the implementation. What a publisher cannot do is named in
// Harness.Missing and shows as a skipped test.
package beattest
