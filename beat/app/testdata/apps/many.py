"""MANY entries of a few kinds."""
import os

from celery import Celery
from celery.schedules import crontab

app = Celery('many', broker='redis://127.0.0.1:1/0')


@app.task
def add(x, y):
    pass


app.conf.beat_schedule = {
    f'entry-{i}': {'task': 'many.add', 'schedule': 30 + i % 60 if i % 2 else crontab(str(i % 60)),
                   'args': (i, 2), 'options': {'expires': 60} if i % 3 else {}}
    for i in range(int(os.environ['MANY']))}
