// Package style holds the house rules that a machine can check, as an ordinary
// test: which package may import which, what pure packages may not touch, and that
// no test sleeps without saying why. HACKING.md tells the rules in words.
package style
