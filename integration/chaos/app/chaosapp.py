"""The sample application with the tasks of the fault injection.

A task may be long when it runs first and short when it runs again: what a fault
cut off is then soon done by whoever gets it next.
"""

import os
import time

from sample import app, journalled


def work(request, seconds, again):
    mark = "%s.%s" % (os.environ["SAMPLE_JOURNAL"], request.id)
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        seconds = again
    time.sleep(seconds)


@app.task(bind=True)
@journalled
def early(self, seconds, again):
    """Acknowledged before it runs: must never run twice."""
    work(self.request, seconds, again)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
@journalled
def late(self, seconds, again):
    """Acknowledged after it ran: must run again when it was cut off."""
    work(self.request, seconds, again)


@app.task
@journalled
def eat():
    """Takes memory until the kernel ends it."""
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 16)
