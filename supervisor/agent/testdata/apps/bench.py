"""A task that does nothing, in an app of CRISPER_BENCH_MB megabytes."""
import os

from celery import Celery

app = Celery('bench', broker='redis://localhost/0')
app.conf.task_ignore_result = True
weight = [str(n) * 10 for n in range(int(os.environ.get('CRISPER_BENCH_MB', 0)) * 9000)]


@app.task
def noop():
    pass
