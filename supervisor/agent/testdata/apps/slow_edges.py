"""An app that is slow right before and right after its tasks' bodies."""
import os
import time

from celery import Celery, signals

app = Celery('slow_edges', broker='memory://', backend='cache+memory://')


@signals.task_prerun.connect
def before(**kwargs):
    time.sleep(0.2)


@signals.task_postrun.connect
def after(**kwargs):
    with open(os.environ['TEST_NOTES'], 'a') as file:
        file.write('in postrun\n')
    time.sleep(0.2)


@app.task
def sleep(seconds):
    time.sleep(seconds)


@app.task
def quick():
    return 'quick'
