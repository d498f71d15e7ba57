#!/usr/bin/env bash
# pytests.sh PYTHON...: the own tests of both agents, under each interpreter. They use
# unittest only; those that need Celery skip themselves where there is none.
set -euo pipefail
cd "$(dirname "$0")/../../supervisor"

for python in "$@"; do
    if ! command -v "$python" >/dev/null; then
        echo "pytests: $python is missing, the agent's tests are not run under it"
        continue
    fi
    for agent in agent celery; do
        echo "the tests of supervisor/$agent/py under $("$python" --version) ($python)"
        (cd "$agent/py" && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. "$python" -W error::SyntaxWarning -m unittest discover -s tests -t . -q)
    done
done
