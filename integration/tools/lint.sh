#!/usr/bin/env bash
# lint.sh STATICCHECK GOVULNCHECK: what can be told without running the program.
set -uo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}
bad=0

echo "go vet";                 "$go" vet ./... || bad=1
echo "go vet, integration";    "$go" vet -tags integration ./... || bad=1
echo "house rules";            "$go" test -count=1 ./integration/style || bad=1
if command -v golangci-lint >/dev/null; then
    echo "golangci-lint";      golangci-lint run ./... || bad=1
else
    echo "staticcheck (golangci-lint is not installed)"
    "$go" run "$1" -tags integration ./... || bad=1
fi
echo "govulncheck"
out=$("$go" run "$2" ./... 2>&1)
code=$?
echo "$out"
if [ $code -ne 0 ]; then
    # Code 3: vulnerabilities were found. Anything else: it could not look.
    if [ $code -eq 3 ] || grep -q '^Vulnerability #' <<<"$out"; then
        bad=1
    else
        echo "lint: NOT CHECKED for known vulnerabilities: the database cannot be reached"
    fi
fi
exit $bad
