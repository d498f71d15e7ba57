"""What an app asks of a worker: what only Celery's own has, and which settings it made."""
import difflib
import json

from .describe import class_path, jsonable

#: Transports that the supervisor speaks itself.
NATIVE = ('redis', 'rediss', 'sentinel')
NATIVE_POOLS = ('celery.concurrency.prefork:TaskPool', 'celery.concurrency.solo:TaskPool')

#: Transport options that are Python code, whatever they look like here.
PYTHON_OPTIONS = ('credential_provider', 'connection_class', 'connection_class_ssl', 'redis_connection_kwargs')
QUEUE_ORDERS = (None, 'round_robin', 'priority', 'sorted')

#: Read from the configuration in the place of options since 5.4 (celery/bin/base.py,
#: DaemonOption), though celery.app.defaults does not know them.
DAEMON_SETTINGS = ('worker_logfile', 'worker_pidfile', 'worker_uid', 'worker_gid', 'worker_umask',
                   'worker_executable')

#: Above this two names are taken for one that was mistyped.
ALIKE = 0.85


def needs(app, worker):
    """What only Celery's own worker has, a sentence each; empty: native will do."""
    found = []
    for part in ('worker', 'consumer'):
        steps = sorted(class_path(step) for step in app.steps[part])
        if steps:
            found.append(f'the app adds {part} bootsteps: {", ".join(steps)}')
    pool = class_path(worker.pool_cls)
    if pool not in NATIVE_POOLS:
        found.append(f'the pool is {pool}')
    found.extend(custom_classes(app, worker))
    found.extend(custom_tasks(app))
    found.extend(broker_needs(app))
    if getattr(worker, 'pool_start_method', None) not in (None, 'fork'):
        found.append(f'worker_pool_start_method is {worker.pool_start_method!r}')
    return found


def custom_classes(app, worker):
    from celery.app.defaults import DEFAULTS
    for setting in ('worker_consumer', 'worker_autoscaler', 'worker_agent'):
        value = app.conf.get(setting)
        if value and class_path(value) != DEFAULTS.get(setting):
            yield f'{setting} is {class_path(value)}'
    if worker.timer_cls:
        yield f'worker_timer is {class_path(worker.timer_cls)}'
    base = type(worker).__mro__[2]
    if class_path(base) != 'celery.apps.worker:Worker':
        yield f'app.Worker is {class_path(base)}'


def custom_tasks(app):
    for name, task in sorted(app.tasks.items()):
        for attribute, default in (('Request', 'celery.worker.request:Request'),
                                   ('Strategy', 'celery.worker.strategy:default')):
            value = getattr(task, attribute)
            if class_path(value) != default:
                yield f'task {name} has its own {attribute} class: {class_path(value)}'


def broker_needs(app):
    connection = app.connection_for_read()
    transport = connection.transport_cls
    name = transport if isinstance(transport, str) else class_path(transport)
    if name not in NATIVE:
        yield f'the broker transport is {name}'
        return
    for option, value in (connection.transport_options or {}).items():
        if value is not None and only_python(option, value):
            yield f'broker_transport_options[{option!r}] has a value that only Python can use'
    strategy = app.conf.broker_failover_strategy
    if strategy not in (None, 'round-robin', 'shuffle'):
        yield f'broker_failover_strategy is {class_path(strategy) if callable(strategy) else repr(strategy)}'


def only_python(option, value):
    if option == 'queue_order_strategy':
        return not isinstance(value, str) or value not in QUEUE_ORDERS
    return option in PYTHON_OPTIONS or '__opaque__' in json.dumps(jsonable(value))


def changed(app):
    """The settings that differ from Celery's defaults, by name."""
    from celery.app.defaults import DEFAULTS
    names = [name for name, default in DEFAULTS.items()
             if jsonable(app.conf.get(name)) != jsonable(default) and not made_by_celery(app, name)]
    return sorted(names + [name for name in daemon_settings() if app.conf.get(name) is not None])


def daemon_settings():
    from celery.bin import base
    return DAEMON_SETTINGS if hasattr(base, 'DaemonOption') else ()


def made_by_celery(app, name):
    """The worker adds the modules of all tasks to include (worker/worker.py, setup_includes)."""
    return name == 'include' and not any(source.get('include') for source in app.conf.maps[1:-1])


def misspelt(app):
    """Settings that Celery ignores because it has none of that name, but one that is much
    like it: {what is set: what was meant}."""
    from celery.app.defaults import SETTING_KEYS
    families = {key.split('_')[0] for key in SETTING_KEYS}
    found = {}
    for key in given_keys(app):
        if key in SETTING_KEYS or key in DAEMON_SETTINGS or key.split('_')[0] not in families:
            continue
        near = difflib.get_close_matches(key, SETTING_KEYS, 1, ALIKE)
        if near:
            found[key] = near[0]
    return found


def given_keys(app):
    """The keys of the app's own configuration, as new lower-case settings. An object of
    another kind than a dict (a settings module) has its names taken from it."""
    prefix = (app.namespace or '').lower().rstrip('_') + '_' if app.namespace else ''
    keys = set()
    for source in app.conf.maps[:-1]:  # the last one has the defaults
        for key in names_in(source):
            if isinstance(key, str) and (key == key.lower() or prefix):
                low = key.lower()
                keys.add(low[len(prefix):] if low.startswith(prefix) else low)
    return sorted(keys)


def names_in(source):
    try:
        return list(source)
    except Exception:  # a mapping of the app's own
        return []
