"""The entries of the schedule, their messages, and what is asked about them."""
import copy
import datetime
import logging
import time
import uuid

from . import beat_blueprint, beat_capture
from .beat_blueprint import Sentinel, Unfit
from .beat_own import Owner
from .beat_schedules import schedule_of
from .describe import jsonable, safe_repr, settings

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = datetime.timedelta(microseconds=1)

EAGER = 'task_always_eager is set: celery beat would run the task itself'


class Broken(Exception):
    """Celery would not send a message for the entry; the text says why."""


def make_scheduler(app, service, connection):
    """Celery's Scheduler, in memory, with a connection that captures."""
    from celery.beat import Scheduler

    class Timekeeper(Scheduler):
        refused = None

        def setup_schedule(self):
            pass  # entry by entry (read_entries): one that is invalid does not stop the others

        def apply_async(self, *args, **kwargs):
            try:
                return super().apply_async(*args, **kwargs)
            except Exception as exc:
                self.refused = exc  # apply_entry only logs it
                raise

    scheduler = Timekeeper(app, max_interval=service.max_interval)
    if connection is not None:
        scheduler.connection = connection
    return scheduler


def read_entries(scheduler):
    """What PersistentScheduler.setup_schedule makes of beat_schedule; returns the
    errors of those that it cannot make anything of."""
    app, errors = scheduler.app, {}
    for name, value in app.conf.beat_schedule.items():
        try:
            entry = scheduler.Entry(**dict(value, name=name, app=app))
            if not hasattr(entry.schedule, 'is_due'):
                raise TypeError(f'its schedule is {safe_repr(entry.schedule)}')
            scheduler.schedule[name] = entry
        except Exception as exc:
            errors[name] = f'{type(exc).__name__}: {exc}'
    scheduler.install_default_entries(scheduler.schedule)
    for name in errors:
        scheduler.schedule.pop(name, None)  # Celery's cleanup is not put in the place of a broken one
    return errors


def sentinels(app):
    """Two sets of values that no app has in its messages by chance. Their clocks differ
    in every part."""
    now = app.now()
    return [Sentinel(str(uuid.uuid4()), str(uuid.uuid4()),
                     app_time(app, now.astimezone(UTC).replace(microsecond=part) + shift))
            for part, shift in ((271829, datetime.timedelta()),
                                (618033, datetime.timedelta(days=-41, hours=-7, seconds=-1951)))]


def app_time(app, moment):
    return moment.astimezone(app.timezone)


class Keeper:
    def __init__(self, loaded):
        self.app, self.service = loaded.app, loaded.service
        self.film = beat_capture.Film()
        self.transport, connection = self.connect()
        self.scheduler = make_scheduler(self.app, self.service, connection)
        self.service.scheduler = self.scheduler  # receivers of beat_init look at it
        self.errors = read_entries(self.scheduler)
        self.fakes, self.owner = beat_capture.Fakes(self.app), Owner(self.app)
        self.clock = beat_blueprint.Clock(self.app)
        self.pair = sentinels(self.app)
        self.shapes = {}  # task and options: the moments in their messages, or why they cannot be one
        self.seen, self.announced = None, False

    def connect(self):
        connection = self.app.connection_for_write()
        kind = beat_capture.kind_of(connection)
        if kind not in ('redis', 'amqp'):
            return kind, None
        return kind, beat_capture.capturing(connection, self.film)

    # -- entries

    def describe_entries(self):
        """(head, blueprint) of every entry, in Celery's order."""
        self.shapes.clear()
        general = self.general()
        self.seen = self.fingerprint(general, self.heard())
        for name in [*self.scheduler.schedule, *self.errors]:
            entry = self.scheduler.schedule.get(name)
            if entry is None:
                yield {'name': str(name), 'error': self.errors[name]}, ''
            else:
                yield self.describe_entry(name, entry, general)

    def describe_entry(self, name, entry, general):
        head = {'name': str(name), 'task': str(entry.task), 'text': safe_repr(entry.schedule)}
        blueprint = ''
        try:
            head['options'] = jsonable(entry.options)
            head['schedule'] = schedule_of(entry.schedule)
            head['ask'] = general or self.reason(entry)
            if not head['ask']:
                blueprint = self.blueprint(entry)
        except Unfit as exc:
            head['ask'] = str(exc)
        except Exception as exc:
            head['error'] = str(exc) if isinstance(exc, Broken) else f'{type(exc).__name__}: {exc}'
        return head, blueprint

    def general(self):
        if self.transport not in ('redis', 'amqp'):
            return f'the broker transport is {self.transport}'
        return self.owner.of_everything(self.scheduler)

    def reason(self, entry):
        if self.app.conf.task_always_eager and entry.task in self.app.tasks:
            raise Broken(EAGER)
        return self.owner.of_entry(entry) or self.owner.of_task(entry.task)

    def fingerprint(self, general, heard):
        """What decides about the blueprints; when it changes they are made anew. The entries
        are looked at one by one, which takes seconds where there are very many, only when
        somebody hears beat_init, who might change them."""
        entries = self.scheduler.schedule
        tasks = {task: self.owner.of_task(task) for task in {entry.task for entry in entries.values()}}
        copies = [(name, copy.copy(entry)) for name, entry in entries.items()] if heard else None
        return general, settings(self.app), tasks, len(entries), copies

    # -- messages

    def blueprint(self, entry):
        """Two captures for the first of its kind, one for those that only have other
        arguments: Celery's own code does the same for them."""
        first, shape = self.pair[0], (entry.task, repr(entry.options))
        shot = self.capture(entry, first)
        if shape not in self.shapes:
            self.shapes[shape] = self.compare(entry, shot)
        moments = self.shapes[shape]
        if isinstance(moments, Unfit):
            raise moments
        return beat_blueprint.draw(shot, first, moments, self.clock)

    def compare(self, entry, shot):
        """The moments of a message, or why it is different each time."""
        first, second = self.pair
        again = self.capture(entry, second)
        try:
            moments = beat_blueprint.delays(shot, first, again, second, self.clock)
            if moments and not self.clock.zone:
                raise Unfit("it has moments, and the app's time zone has no name")
            if (beat_blueprint.draw(shot, first, moments, self.clock)
                    != beat_blueprint.draw(again, second, moments, self.clock)):
                raise Unfit('it is different each time it is made')
        except Unfit as exc:
            return exc
        return moments

    def capture(self, entry, sentinel):
        def send():
            self.scheduler.apply_async(copy.copy(entry), producer=self.scheduler.producer, advance=False)
        return self.shoot(send, sentinel.task_id, sentinel.tag, sentinel.now)

    def shoot(self, send, task_id, tag, now=None):
        """Have something sent, and return what would have been."""
        self.film.roll(tag)
        self.scheduler.refused = None
        self.scheduler.connection.declared_entities.clear()
        with self.fakes.set(task_id, now):
            send()
        if self.scheduler.refused is not None:
            raise Broken(str(self.scheduler.refused))
        if not self.film.shots:
            raise Broken('the app sends no message for it')
        shot = self.film.shots[0]  # a task-sent event may follow
        shot.declare = beat_blueprint.declarations(self.film.declared)
        return shot

    # -- requests

    def render(self, name, task_id, due):
        """One message through everything that the app has in the way."""
        if self.transport not in ('redis', 'amqp'):
            return {'error': self.general()}, ''
        entry = self.scheduler.schedule[name]
        if self.app.conf.task_always_eager and entry.task in self.app.tasks:
            return {'error': EAGER}, ''

        def send():
            self.scheduler.reserve(entry)
            self.scheduler.apply_entry(entry, producer=self.scheduler.producer)
        shot = self.shoot(send, task_id, str(uuid.uuid4()))
        return {'task_id': id_of(shot, task_id)}, beat_blueprint.copy(shot, self.clock)

    def ask(self, name, last):
        """Celery's is_due, and when to ask again in microseconds since 1970."""
        schedule = self.scheduler.schedule[name].schedule
        due, wait = schedule.is_due(app_time(self.app, EPOCH + last * MICROSECOND))
        return {'due': bool(due),
                'next': None if wait is None else time.time_ns() // 1000 + int(wait * 1_000_000)}

    def import_file(self, filename):
        from .beat_import import records
        found = records(self.app, filename or self.service.schedule_filename)
        return {'records': {name: {'last': micros(last), 'count': count}
                            for name, (last, count) in found.items()}}

    def heard(self):
        from celery import signals
        return signals.beat_init.has_listeners(self.service)

    def announce(self):
        """beat_init, once. The new entries when it has changed something."""
        from celery import signals
        heard = self.heard()  # before: one that forgets itself has been heard
        if not self.announced:
            self.announced = True
            logging.getLogger('celery.beat').info('beat: Starting...')
            signals.beat_init.send(sender=self.service)
        return list(self.describe_entries()) if self.changed(heard) else None

    def changed(self, heard):
        try:
            return self.fingerprint(self.general(), heard) != self.seen
        except Exception:
            return True  # arguments that cannot be compared


def id_of(shot, task_id):
    """The id that the message has: the app may have set its own."""
    headers = (shot.message['headers'] if isinstance(shot.message, dict)
               else shot.message.properties.get('application_headers')) or {}
    properties = shot.message['properties'] if isinstance(shot.message, dict) else shot.message.properties
    return headers.get('id') or properties.get('correlation_id') or task_id


def micros(moment):
    from celery.utils.time import maybe_make_aware
    return (maybe_make_aware(moment).astimezone(UTC) - EPOCH) // MICROSECOND
