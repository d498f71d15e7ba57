#!/usr/bin/env bash
# verify.sh: fails when a generated file differs from what would be generated now,
# or when go.mod is not tidy. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}
bad=0

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
for page in configuration metrics; do
    "$go" run ./cmd/crisper reference "$page" >"$new/$page.md"
    if ! diff -u "docs/reference/$page.md" "$new/$page.md"; then
        echo "docs/reference/$page.md is stale; run: make generate"
        bad=1
    fi
done
if ! "$go" mod tidy -diff; then
    echo "go.mod or go.sum is not tidy; run: go mod tidy"
    bad=1
fi
"$go" mod verify
exit "$bad"
