#!/usr/bin/env bash
# gotest.sh GOTESTSUM: the integration tests: a line for each package as it ends, the
# output of what failed as soon as it has failed, and at the end a short list, also of
# what was skipped, with the reason.
# RUN=regexp chooses tests, V=1 shows the output of all of them.
#
# A test that fails is run once more, alone. One that passes then is UNSTEADY: it does
# not fail the run, because a machine can be so busy that 60 s are too short, but it is
# named here and in the last lines of `make test`; it is a defect, and to be mended.
# More than a few failures are not run again: that is not chance.
#
# Without gotestsum (it cannot be fetched) it is plain go test, and nothing is run again.
# Left behind: .cache/unsteady.txt, and .cache/integration.json with all durations
# (.cache/bin/gotestsum tool slowest --jsonfile .cache/integration.json).
set -uo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}
tool=$1
packages=(./integration/... ./supervisor/agent/... ./broker/... ./beat/... ./cmd/...)
# Most tests wait more than they compute: of a package's parallel ones, four at a time.
args=(-tags integration -count=1 -timeout 45m -parallel 4)
[ -z "${RUN:-}" ] || args+=(-run "$RUN")
mkdir -p .cache
report=.cache/reruns.txt
rm -f "$report" .cache/unsteady.txt

if ! GOBIN=$PWD/.cache/bin "$go" install "$tool" 2>/dev/null; then
    echo "integration tests: $tool cannot be fetched; with plain go test, which runs nothing a second time"
    exec "$go" test "${args[@]}" ${V:+-v} "${packages[@]}"
fi

format=pkgname-and-test-fails
[ -z "${V:-}" ] || format=standard-verbose
# A subtest counts twice, with its parent: six are about three.
.cache/bin/gotestsum --format "$format" --format-icons text --format-hide-empty-pkg --hide-summary output \
    --jsonfile .cache/integration.json --rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-report "$report" \
    --packages "${packages[*]}" -- "${args[@]}" &
running=$!
trap 'kill -TERM "$running" 2>/dev/null' TERM INT # it ends go test, which nobody else would
wait "$running"
code=$?
trap - TERM INT
wait "$running" 2>/dev/null

# The report has a line for each test that was run again: NAME: 2 runs, 1 failures.
# A parent says nothing that its subtest does not say.
if [ -s "$report" ]; then
    sed -n 's/^\(.*\): \([0-9]*\) runs, \([0-9]*\) failures$/\2 \3 \1/p' "$report" |
        awk '$1 > $2 { print $3 }' | LC_ALL=C sort |
        awk '{ if (last != "" && index($0, last "/") != 1) print last; last = $0 } END { if (last != "") print last }' >.cache/unsteady.txt
    sed 's/.*/    UNSTEADY: & (failed, passed when run again alone: a defect of the test or of Crisper)/' .cache/unsteady.txt
fi
exit $code
