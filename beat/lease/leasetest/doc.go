// Package leasetest is the suite that every backend of an election passes
// (Exercise), a backend in memory, and one that fails on command.
package leasetest
