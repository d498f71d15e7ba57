"""Everything for which a message has to be made anew for each tick, and what is
wrong with entries. HOOKS chooses what else is in the way."""
import datetime
import os

from celery import Celery, Task, beat, schedules, signals

app = Celery('hooks', broker='redis://127.0.0.1:1/0')
CHOSEN = os.environ.get('HOOKS', '')
COUNT = iter(range(1, 1000))


class Own(Task):
    def apply_async(self, args=None, kwargs=None, **options):
        options['headers'] = dict(options.get('headers') or {}, own=next(COUNT))
        return super().apply_async(args, kwargs, **options)


class Odd:
    def __json__(self):
        return 'odd'


@app.task
def plain(*args):
    pass


@app.task
def received():
    pass


@app.task(base=Own)
def own():
    pass


@app.task
def typed(x):
    pass


class Never(schedules.BaseSchedule):
    def is_due(self, last_run_at):
        return schedules.schedstate(False, None)


class Crontab(schedules.crontab):
    pass


@signals.before_task_publish.connect(sender='hooks.received')
def on_publish(headers=None, **kwargs):
    headers['received'] = next(COUNT)


def route(name, args, kwargs, options, task=None, **kw):
    return {'queue': f'q{next(COUNT)}'} if name == 'hooks.plain' else None


SENT = []
if CHOSEN == 'route':
    app.conf.task_routes = (route,)
if CHOSEN == 'eager':
    app.conf.task_always_eager = True
if CHOSEN == 'events':
    app.conf.task_send_sent_event = True
if CHOSEN == 'exit':
    raise SystemExit(3)


@signals.beat_init.connect
def on_beat_init(sender=None, **kwargs):
    print(f'beat_init {type(sender).__name__} {len(sender.scheduler.schedule)}', flush=True)
    if CHOSEN == 'patch':  # as Sentry's integration does
        original = beat.Scheduler.apply_entry

        def apply_entry(scheduler, *args, **kwargs):
            args[0].options.setdefault('headers', {})['check-in'] = f'{args[0].name} {next(COUNT)}'
            print(f'in progress {args[0].name}', flush=True)
            return original(scheduler, *args, **kwargs)
        beat.Scheduler.apply_entry = apply_entry
    if CHOSEN == 'add':
        sender.scheduler.add(name='late', task='hooks.plain', schedule=5.0)


@app.on_after_configure.connect
def on_configure(sender, **kwargs):
    sender.add_periodic_task(10.0, plain.s(1), name='configured')


@app.on_after_finalize.connect
def on_finalize(sender, **kwargs):
    sender.add_periodic_task(schedules.crontab(minute='0', hour='*/2', day_of_week={1, 3}), plain.s(2), name='finalized')


def nowfun():
    return datetime.datetime.now(datetime.timezone.utc)


app.conf.beat_schedule = {
    'plain': {'task': 'hooks.plain', 'schedule': 30},
    'received': {'task': 'hooks.received', 'schedule': 30},
    'own': {'task': 'hooks.own', 'schedule': 30},
    'lazy': {'task': 'hooks.plain', 'schedule': 30, 'args': (beat.BeatLazyFunc(lambda: next(COUNT)),)},
    'odd': {'task': 'hooks.plain', 'schedule': 30, 'args': (Odd(),)},
    'identified': {'task': 'hooks.plain', 'schedule': 30, 'options': {'task_id': 'always-this'}},
    'untyped': {'task': 'hooks.typed', 'schedule': 30},
    'unserializable': {'task': 'hooks.plain', 'schedule': 30, 'args': ({1, 2},), 'options': {'serializer': 'yml'}},
    'stranger': {'task': 'hooks.plain', 'schedule': 30, 'every': 3},
    'nothing': {'task': 'hooks.plain', 'schedule': 'never'},
    'nowfun': {'task': 'hooks.plain', 'schedule': schedules.schedule(30, nowfun=nowfun)},
    'class': {'task': 'hooks.plain', 'schedule': Crontab(minute=5)},
    'never': {'task': 'hooks.plain', 'schedule': Never()},
    'relative': {'task': 'hooks.plain', 'schedule': datetime.timedelta(hours=1), 'relative': True},
    'microseconds': {'task': 'hooks.plain', 'schedule': datetime.timedelta(days=2, microseconds=1)},
}
