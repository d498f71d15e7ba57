#!/usr/bin/env bash
# fuzz.sh TIME: every fuzz target of the tree, one after the other, TIME each.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}

found=0
while IFS=: read -r file name; do
    found=$((found + 1))
    echo "fuzzing $name in $(dirname "$file") for $1"
    "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "./$(dirname "$file")"
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
echo "fuzzed $found targets"
[ "$found" -gt 0 ]
