#!/usr/bin/env bash
# pythons.sh [quick]: the agent under every other Python that is installed here
# (PYTHONS names the versions), each with the newest Celery that it can have in a
# virtual environment of its own. quick: only the agent's own tests; else also the
# integration tests in which children start, run, die, are recycled and drained.
set -euo pipefail
cd "$(dirname "$0")/../.."
ours=$("${PYTHON:-python3}" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
versions=${PYTHONS:-3.9 3.10 3.11 3.12 3.13 3.14}
# Where Celery's versions differ the other tests go by the newest; these do by none.
tests='^(TestDropIn|TestA[A-Za-z]*Child[A-Za-z]*|TestADeadZygoteCostsNoTask|TestTheWorkerLeaves[A-Za-z]*|TestHangup[A-Za-z]*|TestWhatHasNotBegun[A-Za-z]*)$'

# find VERSION: an interpreter of that version that runs, on PATH or as pyenv keeps them.
find_python() {
    local candidate
    for candidate in "$(command -v "python$1" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if [ -n "$candidate" ] && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
            echo "$candidate"
            return
        fi
    done
}

for version in $versions; do
    [ "$version" != "$ours" ] || continue # all other tests have that one
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "pythons: there is no Python $version here: not tested with it"
        continue
    fi
    name=python$version
    PYTHON=$python integration/tools/venv.sh "$name" celery57
    venv=$PWD/.cache/$name/bin/python
    integration/tools/pytests.sh "$venv"
    [ "${1:-}" != quick ] || continue
    echo "children under $("$venv" --version)"
    CRISPER_TEST_PYTHON=$venv CRISPER_BIN=$PWD/bin/crisper "${GO:-go}" test -tags integration -count=1 -timeout 20m -run "$tests" ./integration
done
