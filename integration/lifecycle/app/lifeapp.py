"""The sample application with what the lifecycle matrix needs beside it."""

import os
import subprocess
import time

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


@app.task
@journalled
def hog_when(path):
    """Takes memory as long as the file says "eat", until the kernel ends it, and ends by
    itself when it says "enough"."""
    held, wish = [], ""
    while wish != "enough":
        if os.path.exists(path):
            with open(path) as f:
                wish = f.read()
        if wish == "eat":
            held.append(bytearray(os.urandom(1 << 20)) * 8)
        time.sleep(0.05)  # others in the process run on meanwhile
