"""An app with a task for everything that can become of one."""
import os
import sys
import time

from celery import Celery, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger

app = Celery('plain', broker=os.environ.get('TEST_BROKER', 'memory://'),
             backend=os.environ.get('TEST_BACKEND', 'cache+memory://'))
if os.environ.get('TEST_NO_RETRY'):  # a backend that is down is down
    app.conf.result_backend_transport_options = {'retry_policy': {'max_retries': 0}}
log = get_task_logger(__name__)


def note(text):
    """Say something to the test, from whichever process."""
    path = os.environ.get('TEST_NOTES')
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, (text + '\n').encode())
        os.close(fd)


@signals.worker_process_init.connect
def on_init(**kwargs):
    from billiard import current_process
    note(f'worker_process_init {current_process().name}')


@signals.worker_process_shutdown.connect
def on_shutdown(pid=None, exitcode=None, **kwargs):
    note(f'worker_process_shutdown {exitcode}')


@signals.task_failure.connect
def on_failure(exception=None, task_id=None, **kwargs):
    note(f'task_failure {task_id} {type(exception).__name__}')


@signals.task_unknown.connect
def on_unknown(name=None, **kwargs):
    note(f'task_unknown {name}')


@signals.task_rejected.connect
def on_rejected(exc=None, **kwargs):
    note(f'task_rejected {type(exc).__name__}')


@signals.task_revoked.connect
def on_revoked(request=None, **kwargs):
    note(f'task_revoked {request.id}')


@signals.task_received.connect
def on_received(sender=None, request=None, **kwargs):
    note(f'task_received {request.id} {request.name} {type(sender).__name__} {sender.hostname}')


@signals.worker_ready.connect
def on_ready(sender=None, **kwargs):
    note(f'worker_ready {sender.hostname}')


@app.task
def noop():
    pass


@app.task
def add(x, y):
    return x + y


@app.task
def pid():
    return os.getpid()


@app.task
def fail(message):
    raise ValueError(message)


@app.task(acks_late=True)
def late():
    pass


@app.task(acks_late=True, reject_on_worker_lost=True)
def again():
    pass


@app.task(bind=True, max_retries=3)
def retry(self):
    raise self.retry(exc=KeyError('not yet'), countdown=10)


@app.task
def reject(requeue):
    raise Reject('no', requeue=requeue)


@app.task
def ignore():
    raise Ignore()


@app.task
def exit_with(code):
    sys.exit(code)


@app.task
def interrupt():
    raise KeyboardInterrupt()


@app.task
def vanish(status):
    os._exit(status)


@app.task
def out_of_memory():
    raise MemoryError('no more')


@app.task
def close_everything():
    os.closerange(0, 4096)


@app.task
def fork_and_linger():
    if not os.fork():
        time.sleep(60)
        os._exit(0)


@app.task
def fork_and_return():
    """Both processes return from the task."""
    return os.fork()


@app.task
def shout(size):
    for _ in range(size // 4096):
        print('x' * 4095)


@app.task
def wait(seconds):
    """Sleeps; a soft limit is survived and said."""
    try:
        note('waiting')
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return 'interrupted'
    return 'slept'


@app.task
def clean_up(seconds):
    try:
        note('working')
        time.sleep(seconds)
    finally:
        note('cleaned up')


@app.task
def errback(request, exc, traceback):
    note(f'errback {type(exc).__name__}')


@app.task
def brief():
    """Ends at about the time at which the test interrupts it."""
    end = time.perf_counter() + 0.0003
    while time.perf_counter() < end:
        pass


@app.task
def say(text):
    print(text)
    log.warning('%s', text)
