"""A Celery project with one task, sent by beat once a minute. The broker is given by CELERY_BROKER."""

from celery import Celery

app = Celery("proj")
app.conf.broker_connection_retry_on_startup = True
app.conf.beat_schedule = {
    "every-minute": {"task": "proj.add", "schedule": 60.0, "args": (2, 3)},
}


@app.task
def add(x, y):
    return x + y
