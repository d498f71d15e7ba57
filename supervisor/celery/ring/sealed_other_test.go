//go:build !linux

package ring

const sealed = false
