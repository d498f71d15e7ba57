// Command crisper is the entrypoint of a worker pod, of the HA beat and of the
// backlog hints.
package main

import (
	"context"
	"os"
)

//go:generate sh -c "go run . reference configuration > ../../docs/reference/configuration.md"
//go:generate sh -c "go run . reference compatibility > ../../docs/reference/compatibility.md"
//go:generate sh -c "go run . reference metrics > ../../docs/reference/metrics.md"
//go:generate sh -c "go run . reference beat-metrics > ../../docs/reference/beat-metrics.md"

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
