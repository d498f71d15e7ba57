"""An app whose handlers change the settings and the queues, as documented."""
from celery import Celery, signals

app = Celery('handlers', broker='redis://localhost/0')
order = []


@signals.celeryd_init.connect
def on_celeryd_init(conf=None, **kwargs):
    order.append('celeryd_init')
    conf.worker_max_tasks_per_child = 7
    conf.task_soft_time_limit = 3


@signals.worker_init.connect
def on_worker_init(**kwargs):
    order.append('worker_init')


@signals.celeryd_after_setup.connect
def on_after_setup(instance=None, **kwargs):
    order.append('celeryd_after_setup')
    instance.app.amqp.queues.select_add('extra')
    app.conf.worker_name_of_handlers = order


@signals.worker_before_create_process.connect
def on_before(**kwargs):
    order.append('worker_before_create_process')


@signals.worker_process_init.connect
def on_process_init(**kwargs):
    order.append('worker_process_init')


@app.task
def seen():
    return order
