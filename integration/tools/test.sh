#!/usr/bin/env bash
# test.sh: everything `make test` does, step by step. A step that fails does not
# keep the later ones from running, unless they stand on it. The last line counts.
set -uo pipefail
cd "$(dirname "$0")/../.."

passed=0 failed=0 failures=()
rm -f .cache/unsteady.txt
began=$SECONDS

clock() { printf '%02d:%02d' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)); }

finish() {
    echo
    for name in "${failures[@]+"${failures[@]}"}"; do echo "failed: $name"; done
    # Left by gotest.sh: named here, so that nobody takes them for tests that pass.
    [ ! -s .cache/unsteady.txt ] || sed 's/.*/unsteady: & (passed when run again)/' .cache/unsteady.txt
    echo "make test took $(clock)"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# step NAME COMMAND...
step() {
    local name=$1 start=$SECONDS
    shift
    echo
    echo "==> [$(clock)] $name"
    if "$@" </dev/null; then
        passed=$((passed + 1))
        echo "    ok: $name ($((SECONDS - start)) s)"
    else
        failed=$((failed + 1)) failures+=("$name")
        echo "    FAILED: $name ($((SECONDS - start)) s)"
        return 1
    fi
}

target() { make --no-print-directory "$@"; }

missing() {
    local bad=0
    command -v "${GO:-go}" >/dev/null || { echo "Go is missing; install the version that go.mod names"; bad=1; }
    command -v "${PYTHON:-python3}" >/dev/null || { echo "Python is missing; install Python 3.9 or later"; bad=1; }
    command -v redis-server >/dev/null || { echo "redis-server is missing; install it (Debian: apt-get install redis-server), or run: bash .ci/run"; bad=1; }
    command -v rabbitmq-server >/dev/null || { echo "rabbitmq-server is missing; install it (Debian: apt-get install rabbitmq-server), or run: bash .ci/run"; bad=1; }
    command -v cc >/dev/null || { echo "a C compiler is missing, which the race detector needs (Debian: apt-get install gcc libc6-dev)"; bad=1; }
    command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        command -v google-chrome >/dev/null || command -v google-chrome-stable >/dev/null ||
        { echo "a browser is missing, which looks at Flower's pages (Debian: apt-get install chromium-headless-shell), or run: bash .ci/run"; bad=1; }
    return $bad
}

step "the tools: Go, Python, redis-server, rabbitmq-server, a C compiler, a browser" missing || finish
step "build bin/crisper" target build || finish
step "virtual environments: Celery 5.7 and 5.3, what watches workers, Dramatiq and Huey" target venvs || finish
step "formatting (gofmt)" target fmt
step "go vet" target vet
step "unit tests under the race detector" target test-race
step "tests of the Python agent" target test-py
step "tests of the Python agent under every other Python that is here" integration/tools/pythons.sh quick
step "generated files are up to date" target verify
step "builds for linux/arm64 and darwin/arm64" target cross
step "control plane for tests: etcd and kube-apiserver, built once" target controlplane
step "integration tests: real Celery, Redis, RabbitMQ and Kubernetes API server" target test-integration
step "the same 438 cases under Celery's worker and Crisper, compared" target differential ARGS=-quick
step "Celery's own tests, the quick part, under Celery's worker and Crisper" target conformance ARGS=-quick
step "fault injection, 3 trials of each" target chaos TRIALS=3 ARGS=-busy
step "fault injection on three replicas of the beat, 5 trials of each on Redis and on RabbitMQ" target chaos-beat TRIALS=5
step "benchmark, a short run" target bench-smoke
finish
