"""What the loaded app says about itself: the Info of beat/app/info.go."""
import os
import platform

from .beat_blueprint import zone_name
from .describe import class_path, jsonable, receivers, rss_bytes, safe_repr, settings


def describe(loaded, keeper, entries_seconds):
    import celery
    import kombu
    app, service = loaded.app, loaded.service
    scheduler = scheduler_class(service)
    return {
        'python': platform.python_version(), 'celery': celery.__version__, 'kombu': kombu.__version__,
        'app_name': app.main or '', 'pid': os.getpid(), 'conf': settings(app), 'broker': broker(app),
        'transport': keeper.transport, 'scheduler': scheduler, 'native': scheduler in native(),
        'schedule_filename': str(service.schedule_filename or ''),
        'max_interval': float(keeper.scheduler.max_interval),
        'sync_every': int(app.conf.beat_sync_every or 0),
        'cron_starting_deadline': app.conf.beat_cron_starting_deadline,
        'timezone': zone_name(app.timezone), 'enable_utc': bool(app.conf.enable_utc),
        'remote_control': bool(getattr(service, 'remote_control', False)),
        'receivers': receivers(), 'needs': needs(app, keeper),
        'preload_seconds': loaded.seconds, 'entries_seconds': entries_seconds, 'rss_bytes': rss_bytes(),
    }


def native():
    return ('celery.beat:PersistentScheduler', 'celery.beat:Scheduler')


def scheduler_class(service, namespace='celery.beat_schedulers'):
    """The class that Service.get_scheduler would make; nothing is made."""
    from celery.utils.imports import load_extension_class_names, symbol_by_name
    aliases = dict(load_extension_class_names(namespace))
    return class_path(symbol_by_name(service.scheduler_cls, aliases=aliases))


def broker(app):
    """How to reach the broker that is published to."""
    connection = app.connection_for_write()
    urls = list(connection.alt)
    if not urls:
        url = app.conf.broker_write_url
        plain = isinstance(url, str) and '://' in url
        urls = [url if plain else connection.as_uri(include_password=True)]
    strategy = app.conf.broker_failover_strategy or 'round-robin'
    return {'urls': [str(url) for url in urls],
            'failover_strategy': strategy if isinstance(strategy, str) else safe_repr(strategy),
            'transport_options': jsonable(connection.transport_options or {}),
            'use_ssl': jsonable(app.conf.broker_use_ssl or False)}


def needs(app, keeper):
    """What only `celery beat` does, a sentence each; empty: the timekeeper will do."""
    found = []
    if keeper.transport not in ('redis', 'amqp'):
        found.append(f'the broker transport is {keeper.transport}')
    if app.conf.task_always_eager:
        found.append('task_always_eager is set: celery beat would run the tasks itself')
    if app.conf.task_send_sent_event:
        found.append('task_send_sent_event is set: celery beat would send task-sent events')
    return found
