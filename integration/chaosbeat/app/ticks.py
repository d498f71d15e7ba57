"""An app whose schedule never rests: ticks every second, some faster, crontabs.

Nothing here knows Crisper. What the entries are called and how often they come is
repeated in entries.go, which counts them.
"""

import os
from datetime import timedelta

from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import crontab

app = Celery("ticks")
app.conf.update(task_default_queue=os.environ["TICKS_QUEUE"], task_ignore_result=True, result_expires=None, timezone="Europe/Berlin")


@app.task
def tick(*args):
    """Nobody runs it."""


def argument():
    return "made for this tick"


app.conf.beat_schedule = {
    # What shows how long nobody led.
    "pulse": {"task": "ticks.tick", "schedule": timedelta(milliseconds=200)},
    "second-1": {"task": "ticks.tick", "schedule": 1.0},
    "second-2": {"task": "ticks.tick", "schedule": timedelta(seconds=1), "args": (1, "two")},
    "second-3": {"task": "ticks.tick", "schedule": 1.0, "options": {"priority": 3}},
    "second-4": {"task": "ticks.tick", "schedule": 1.0, "options": {"expires": 30}},
    # Its message is made by the app, tick by tick.
    "second-asked": {"task": "ticks.tick", "schedule": 1.0, "args": (BeatLazyFunc(argument),)},
    "minute": {"task": "ticks.tick", "schedule": crontab()},
    "minute-of-others": {"task": "ticks.tick", "schedule": crontab(minute="0-59"), "args": (3,)},
}
