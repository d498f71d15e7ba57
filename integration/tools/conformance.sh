#!/usr/bin/env bash
# conformance.sh [ARGS]: Celery's own integration tests against a worker outside
# their process, stock and Crisper. The tests are in Celery's source distribution,
# which is fetched here by the hash that the lock has, and kept in .cache.
# ARGS are those of integration/conformance (-help lists them).
set -euo pipefail
cd "$(dirname "$0")/../.."
lock=integration/requirements/conformance.txt
python=$PWD/.cache/conformance/bin/python

integration/tools/venv.sh conformance
version=$("$python" -c 'import celery; print(celery.__version__)')
source=$PWD/.cache/celery-source/celery-$version

if [ ! -d "$source" ]; then
    echo "conformance: fetching the source distribution of Celery $version"
    new=$(mktemp -d)
    trap 'rm -rf "$new"' EXIT
    # Celery's own entries of the lock: everything else is not asked for.
    awk '/^celery==/ { on = 1 } on { print } on && !/\\$/ { on = 0 }' "$lock" >"$new/celery.txt"
    "$python" -m pip --disable-pip-version-check download --quiet --no-input --require-hashes --no-deps \
        --no-binary celery --no-build-isolation --dest "$new" -r "$new/celery.txt" || {
        echo "conformance: the source distribution of Celery could not be fetched; is the package index reachable?" >&2
        exit 1
    }
    # Only the tests: the celery that runs is the installed one.
    tar -xzf "$new/celery-$version.tar.gz" -C "$new" "celery-$version/t" "celery-$version/pyproject.toml"
    mkdir -p "${source%/*}"
    mv "$new/celery-$version" "$source"
    rm -rf "$new"
    trap - EXIT
fi
# Not `go run`, which does not pass on the TERM that ends a run before its time.
"${GO:-go}" build -o bin/conformance ./integration/conformance
exec bin/conformance -source "$source" -python "$python" "$@"
