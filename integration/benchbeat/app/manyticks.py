"""An app with as many periodic tasks as MANYTICKS_COUNT says, each about once a minute.

Nothing here knows Crisper. Each message says in its arguments which entry it is of.
"""

import os

from celery import Celery

COUNT = int(os.environ["MANYTICKS_COUNT"])

app = Celery("manyticks")
app.conf.update(task_default_queue="ticks", task_ignore_result=True, result_expires=None)


@app.task
def tick(number):
    """Nobody runs it."""


def period(number):
    """Seconds; 63.5 on average, so that 10 000 entries make 157.5 ticks a second."""
    return 60 + number % 8


app.conf.beat_schedule = {
    "entry-%06d" % n: {"task": "manyticks.tick", "schedule": float(period(n)), "args": (n,)} for n in range(COUNT)
}
if os.environ.get("MANYTICKS_BEACON"):
    # Shows when everything is under way.
    app.conf.beat_schedule["beacon"] = {"task": "manyticks.tick", "schedule": 0.1, "args": (-1,)}
