"""Whose code would make a message: only Celery's own may be in a blueprint."""
import datetime
import decimal
import os
import uuid

PLAIN = (str, int, float, bool, type(None), bytes, datetime.datetime, datetime.date, datetime.time,
         datetime.timedelta, decimal.Decimal, uuid.UUID)
SIGNALS = ('before_task_publish', 'after_task_publish', 'task_sent')


class Owner:
    """Tells Celery's code from others', and caches what it found for each task."""

    def __init__(self, app):
        import celery
        import kombu
        self.app = app
        self.homes = tuple(os.path.dirname(module.__file__) + os.sep for module in (celery, kombu))

    def theirs(self, function):
        """'' for code of Celery's or kombu's own files, or else its name."""
        code = getattr(getattr(function, '__func__', function), '__code__', None)
        if code is not None and code.co_filename.startswith(self.homes):
            return ''
        module = getattr(function, '__module__', None)
        name = f'{module}.{getattr(function, "__qualname__", repr(function))}'
        return f'{name} ({code.co_filename})' if code is not None else name

    def first_of_theirs(self, holder, names):
        for name in names:
            function = getattr(holder, name, None)
            if function is not None and self.theirs(function):
                return f'{name} is {self.theirs(function)}'
        return ''

    def of_everything(self, scheduler):
        """What speaks against every blueprint, in a sentence, or ''."""
        from celery.app.routes import MapRoute
        app = self.app
        found = (
            self.first_of_theirs(scheduler, ('apply_entry', 'send_task'))
            or self.first_of_theirs(super(type(scheduler), scheduler), ('apply_async',))
            or self.first_of_theirs(app, ('send_task', 'producer_or_acquire'))
            or self.first_of_theirs(app.amqp, ('create_task_message', 'send_task_message'))
            or self.first_of_theirs(app.amqp.router, ('route', 'lookup_route', 'expand_destination'))
            or self.first_of_theirs(app.amqp.Producer, ('publish', '_publish', '_prepare')))
        if found:
            return found
        for route in app.amqp.routes:
            if type(route) is not MapRoute:
                return f'task_routes has {type(route).__name__} {route!r:.80}'
        return ''

    def of_task(self, name):
        """What speaks against the blueprints of a task."""
        from celery import signals
        for signal in SIGNALS:
            if getattr(signals, signal).has_listeners(name):
                return f'{signal} has a receiver'
        task = self.app.tasks.get(name)
        if task is None:
            return ''
        found = self.first_of_theirs(task, ('apply_async', 'shadow_name', '_get_exec_options', '_get_app'))
        if found:
            return f'the task has its own: {found}'
        if task._get_app() is not self.app:
            return 'the task belongs to another app'
        return ''

    def of_entry(self, entry):
        """What speaks against the blueprint of an entry."""
        if 'task_id' in entry.options:
            return 'it has a task_id of its own'
        for what in ('args', 'kwargs', 'options'):
            odd = odd_one(getattr(entry, what))
            if odd is not None:
                return f'its {what} hold {type(odd).__module__}.{type(odd).__qualname__}'
        return ''


def odd_one(value):
    """The first thing in value that is not plain data, or None."""
    if isinstance(value, dict):
        return next((found for item in value.items() for part in item
                     if (found := odd_one(part)) is not None), None)
    if isinstance(value, (list, tuple, set, frozenset)):
        return next((found for item in value if (found := odd_one(item)) is not None), None)
    return None if type(value) in PLAIN or value is None else odd_class(value)


def odd_class(value):
    """kombu's entities are declared, not sent: they are plain enough."""
    from kombu import Exchange, Queue
    return None if type(value) in (Exchange, Queue) else value
