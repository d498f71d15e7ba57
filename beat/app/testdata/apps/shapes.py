"""One entry for each thing that changes a message; each has a task of its own, by
whose name its message is known."""
import datetime
import os

from celery import Celery
from kombu import Exchange, Queue

app = Celery('shapes', broker=os.environ['SHAPES_BROKER'])
app.conf.update(
    timezone=os.environ.get('SHAPES_ZONE') or None,
    task_protocol=int(os.environ.get('SHAPES_PROTOCOL', 2)),
    task_queues=[
        Queue('celery', Exchange('celery'), routing_key='celery'),
        Queue('metrics', Exchange('metrics', type='topic'), routing_key='m.#'),
        Queue('urgent', Exchange('urgent'), routing_key='urgent', max_priority=9),
        Queue('all', Exchange('all', type='fanout')),
    ],
    task_routes={'*.routed': {'queue': 'urgent', 'priority': 5}, '*.topical': {'queue': 'metrics', 'routing_key': 'm.cpu'},
                 '*.to_all': {'queue': 'all'}},
)
if os.environ.get('SHAPES_RAW'):
    app.conf.broker_transport_options = {'body_encoding': None}

SCHEDULE = app.conf.beat_schedule


def entry(name, args=(), kwargs=None, registered=True, of_task=None, **options):
    if registered:
        def run(*args, **kwargs):
            pass
        app.task(name=f'shapes.{name}', **(of_task or {}))(run)
    SCHEDULE[name] = {'task': f'shapes.{name}', 'schedule': 1.0, 'args': args, 'kwargs': kwargs or {},
                      'options': options}


entry('bare')
entry('unregistered', (1,), registered=False)
entry('arguments', (1, 'zwei', 3.5, None, [True]), {'a': {'b': 'ü\u2028'}})
entry('dates', (datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc), datetime.date(2026, 3, 1)))
entry('long', ('x' * 3000,))
entry('expires', expires=60)
entry('expires_fraction', expires=1.25)
entry('expires_by_task', of_task={'expires': 300})
entry('countdown', countdown=90)
entry('both', countdown=0.5, expires=7200)
entry('eta', eta=datetime.datetime(2031, 3, 1, 12, tzinfo=datetime.timezone.utc))
entry('queue', queue='elsewhere')
entry('urgent', queue='urgent', priority=7)
entry('priority', priority=3)
entry('priority_by_task', of_task={'priority': 9})
entry('routed')
entry('topical')
entry('to_all')
entry('exchange', exchange='metrics', routing_key='m.disk', exchange_type='topic')
entry('headers', headers={'tenant': 7, 'nested': {'a': [1, None]}})
entry('pickled', (1, {2, 3}), serializer='pickle')
entry('compressed', ('y' * 500,), compression='zlib')
entry('ignored', ignore_result=True)
entry('ignored_by_task', of_task={'ignore_result': True})
entry('limits', time_limit=30, soft_time_limit=20)
entry('shadow', shadow='an other name')
entry('links', link=app.signature('shapes.bare', (1,)), link_error=app.signature('shapes.bare'))
entry('transient', delivery_mode=1)
entry('no_retry', retry=False, retry_policy={'max_retries': 1})
entry('stamped', stamped_headers=['by'], by=['me'])
entry('grouped', group_id='the-group', root_id='the-root', parent_id='the-parent')
entry('properties', reply_to='somewhere', message_id='a-message', app_id='an-app')
entry('expires_then', expires=datetime.datetime(2031, 3, 1, tzinfo=datetime.timezone.utc))
