// Package brokertest is the conformance suite that every broker passes
// (Exercise), an in-memory broker, and a wrapper that fails on command.
//
// A broker's own tests call Exercise with a Server of it. What the suite asks is
// what package broker promises, and nothing about how it is kept: keys and
// commands are for the tests beside the implementation. What a broker cannot do
// is named in Harness.Missing and shows as a skipped test.
package brokertest
