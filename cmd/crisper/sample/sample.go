// Package sample is the little Celery app that `crisper dev` runs when it is
// given none.
package sample

import "embed"

// Files are the app (sample.py) and what sends its tasks (send.py).
//
//go:embed *.py
var Files embed.FS
