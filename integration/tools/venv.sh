#!/usr/bin/env bash
# venv.sh NAME [LOCK]: the virtual environment .cache/NAME, with exactly what
# integration/requirements/LOCK.txt (NAME.txt) locks. Does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1
lock=integration/requirements/${2:-$name}.txt
venv=.cache/$name
python=${PYTHON:-python3}

command -v "$python" >/dev/null || { echo "venv: $python is missing; install Python 3.9 or later" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || {
    echo "venv: $("$python" --version) is too old; Python 3.9 or later is needed (PYTHON=… chooses another)" >&2; exit 1; }

# The stamp has everything that the environment was made from.
stamp=$("$python" -c 'import sys; print(sys.version, sys.executable)'; cat "$lock")
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "venv: $venv is up to date"
    exit 0
fi

echo "venv: making $venv from $lock"
rm -rf "$venv"
mkdir -p .cache
"$python" -m venv "$venv" || {
    echo "venv: $python cannot make virtual environments; install its venv module (Debian: apt-get install python3-venv)" >&2
    exit 1
}
"$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-input --require-hashes -r "$lock" || {
    echo "venv: the packages of $lock could not be installed; is the package index reachable?" >&2
    exit 1
}
printf '%s\n' "$stamp" >"$venv/.stamp"
