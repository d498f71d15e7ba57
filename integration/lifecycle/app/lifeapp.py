"""The sample application with what the lifecycle matrix needs beside it."""

import os
import subprocess

from sample import app, journalled


@app.task
@journalled
def linger(seconds):
    """Leaves a process behind that outlives the task. Not by os.fork, which in a gevent
    worker would double the greenlets."""
    return subprocess.Popen(["sleep", str(seconds)]).pid


@app.task
@journalled
def orphans(number):
    """As many processes whose parent is gone before they are."""
    script = "i=0; while [ $i -lt %d ]; do (sleep 0.2 &); i=$((i + 1)); done" % number
    return os.waitstatus_to_exitcode(os.system(script))
