// Package tree finds the living processes below us in /proc and signals them,
// without ever reaching a stranger that was given the number of one that ended.
package tree
