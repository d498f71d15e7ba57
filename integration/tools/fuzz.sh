#!/usr/bin/env bash
# fuzz.sh TIME: every fuzz target of the tree, one after the other, TIME each.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}

# fuzz TARGET FOLDER: Go's fuzzer now and then calls the end of its own time a failure, when that
# falls into the making of an input smaller: then it says so, names no input, and has found nothing.
fuzz() {
    local said
    said=$(mktemp)
    trap 'rm -f "$said"' RETURN
    for try in 1 2; do
        "$go" test -run '^$' -fuzz "^$1\$" -fuzztime "$time" "./$2" 2>&1 | tee "$said" && return
        [ "$try" = 1 ] && grep -q 'context deadline exceeded' "$said" && ! grep -q 'Failing input' "$said" || return 1
        echo "the fuzzer's own time ran out inside of it; once more"
    done
}

time=$1 found=0
while IFS=: read -r file name; do
    found=$((found + 1))
    echo "fuzzing $name in $(dirname "$file") for $time"
    fuzz "$name" "$(dirname "$file")"
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
echo "fuzzed $found targets"
[ "$found" -gt 0 ]
