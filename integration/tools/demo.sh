#!/usr/bin/env bash
# demo.sh [SECONDS]: `crisper dev` with the sample app that it carries, for so
# long, or until Ctrl-C. Celery is real; the broker is embedded.
set -euo pipefail
cd "$(dirname "$0")/../.."

# console: lines for people, also when the output goes through a pipe.
dev=(bin/crisper dev --log-format console --python "$PWD/.cache/celery57/bin/python")
if [ -n "${1:-}" ]; then
    # A second TERM would hurry it: one is enough, it ends with its last task.
    "${dev[@]}" & pid=$!
    (sleep "$1"; kill -TERM "$pid" 2>/dev/null) & # the wanted length of the demo
    wait "$pid"
else
    exec "${dev[@]}"
fi
