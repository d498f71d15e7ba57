#!/usr/bin/env bash
# pytests.sh PYTHON...: the agent's own tests, under each interpreter. They use
# unittest only; those that need Celery skip themselves where there is none.
set -euo pipefail
cd "$(dirname "$0")/../../supervisor/agent/py"

for python in "$@"; do
    if ! command -v "$python" >/dev/null; then
        echo "pytests: $python is missing, the agent's tests are not run under it"
        continue
    fi
    echo "the agent's tests under $("$python" --version) ($python)"
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. "$python" -W error::SyntaxWarning -m unittest discover -s tests -t . -q
done
