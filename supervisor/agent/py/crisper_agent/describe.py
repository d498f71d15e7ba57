"""What the loaded app says about itself: the Info of supervisor/agent/info.go."""
import datetime
import os
import pathlib
import platform
import socket
import threading
import weakref

from . import numbers

WORKER_FIELDS = ('concurrency', 'loglevel', 'logfile', 'max_tasks_per_child', 'max_memory_per_child',
                 'time_limit', 'soft_time_limit', 'prefetch_multiplier', 'task_events',
                 'statedb', 'pool_cls', 'disable_rate_limits', 'worker_lost_wait', 'optimization',
                 'pool_start_method', 'scheduler', 'schedule_filename')
#: From the command line only: bootsteps would read them from Worker.options.
OPTION_FIELDS = ('without_gossip', 'without_mingle', 'without_heartbeat', 'heartbeat_interval', 'beat',
                 'autoscale')


def describe(loaded, threads, sockets):
    import celery
    import kombu

    from . import needs, panel
    app, worker = loaded.app, loaded.worker
    return {
        'python': platform.python_version(), 'celery': celery.__version__, 'kombu': kombu.__version__,
        'app_name': app.main or '', 'hostname': worker.hostname, 'pid': os.getpid(),
        'conf': settings(app), 'changed': needs.changed(app), 'misspelt': needs.misspelt(app),
        'worker': worker_values(worker), 'broker': broker(app),
        'queues': queues(app), 'tasks': tasks(app), 'accept': accept(app), 'receivers': receivers(),
        'needs': needs.needs(app, worker), 'remote': panel.describe(app, jsonable), 'threads': threads, 'sockets': sockets,
        'preload_seconds': loaded.seconds, 'rss_bytes': rss_bytes(),
    }


def jsonable(value):
    """value as JSON has it; what has no JSON form becomes {"__opaque__": repr}."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float('inf') else None
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    return {'__opaque__': safe_repr(value)}


def safe_repr(value):
    try:
        return repr(value)[:200]
    except Exception as exc:
        return f'<{type(value).__name__}: {exc!r}>'


def settings(app):
    from celery.app.defaults import SETTING_KEYS

    from . import needs
    conf = {key: jsonable(app.conf.get(key)) for key in sorted(SETTING_KEYS)}
    for key in needs.daemon_settings():
        if app.conf.get(key) is not None:
            conf[key] = jsonable(app.conf.get(key))
    return conf


def worker_values(worker):
    values = {name: getattr(worker, name, None) for name in WORKER_FIELDS}
    values.update((name, worker.options.get(name)) for name in OPTION_FIELDS)
    values['pool_cls'] = class_path(worker.pool_cls)
    return jsonable(values)


def class_path(cls):
    if isinstance(cls, str):
        return cls
    name = cls.__qualname__
    if name.startswith(cls.__module__ + '.'):  # bootsteps have both in it
        name = name[len(cls.__module__) + 1:]
    return f'{cls.__module__}:{name}'


def broker(app):
    connection = app.connection_for_read()
    urls = list(connection.alt)
    if not urls:
        url = app.conf.broker_read_url
        plain = isinstance(url, str) and '://' in url
        urls = [url if plain else connection.as_uri(include_password=True)]
    strategy = app.conf.broker_failover_strategy or 'round-robin'
    return {'urls': [str(url) for url in urls],
            'failover_strategy': strategy if isinstance(strategy, str) else safe_repr(strategy),
            'transport_options': jsonable(connection.transport_options or {}),
            'use_ssl': jsonable(app.conf.broker_use_ssl or False)}


def queues(app):
    return [queue_of(queue) for queue in app.amqp.queues.consume_from.values()]


def queue_of(queue):
    exchange = queue.exchange
    return {'name': queue.name, 'exchange': exchange.name if exchange else '',
            'exchange_type': exchange.type if exchange else 'direct',
            'routing_key': queue.routing_key or '', 'durable': bool(queue.durable),
            'exclusive': bool(queue.exclusive), 'auto_delete': bool(queue.auto_delete),
            'arguments': jsonable(queue.queue_arguments or {})}


def tasks(app):
    return {name: task_of(task) for name, task in app.tasks.items()}


def task_of(task):
    return {
        'acks_late': bool(task.acks_late),
        'acks_on_failure': ack_flag(task, 'acks_on_failure'),
        'acks_on_timeout': ack_flag(task, 'acks_on_timeout'),
        'reject_on_worker_lost': bool(task.reject_on_worker_lost),
        'retry_on_worker_lost': bool(getattr(task, 'retry_on_worker_lost', False)),
        'track_started': bool(task.track_started), 'ignore_result': bool(task.ignore_result),
        'store_errors_even_if_ignored': bool(task.store_errors_even_if_ignored),
        'send_events': bool(task.send_events),
        'time_limit': numbers.of_task(task, 'time_limit'), 'soft_time_limit': numbers.of_task(task, 'soft_time_limit'),
        'rate_limit': jsonable(task.rate_limit), 'max_retries': whole(task.max_retries),
    }


def whole(value):
    """A number of retries; None: no limit. What is none is the task's own affair."""
    return value if value is None or isinstance(value, int) else None


def ack_flag(task, name):
    """Celery: two flags since 5.7, one before; None means True (app/task.py, bind)."""
    value = getattr(task, name, None)
    if value is None:
        value = getattr(task, 'acks_on_failure_or_timeout', None)
    return value is None or bool(value)


def accept(app):
    from kombu.serialization import prepare_accept_content
    return sorted(prepare_accept_content(app.conf.accept_content) or ())


def receivers():
    from celery import signals
    counts = {}
    for name, signal in vars(signals).items():
        if hasattr(signal, 'receivers') and hasattr(signal, 'send'):
            counts[name] = sum(alive(entry[1]) for entry in signal.receivers or ())
    return counts


def alive(receiver):
    return not isinstance(receiver, weakref.ReferenceType) or receiver() is not None


def threads():
    """Every thread but this one, by name: a forked child would not have them."""
    mine, names = threading.get_native_id(), {}
    for thread in threading.enumerate():
        names[thread.native_id] = thread.name
    try:
        ids = [int(entry) for entry in os.listdir('/proc/self/task')]
    except OSError:
        ids = [known for known in names if known]
    return [names.get(tid) or f'native thread {tid} ({comm(tid)})' for tid in ids if tid != mine]


def comm(tid):
    try:
        with open(f'/proc/self/task/{tid}/comm') as file:
            return file.read().strip()
    except OSError:
        return '?'


def sockets(ours):
    """Every open socket but ours, by its peer: children would share its connection."""
    found = []
    try:
        entries = [int(entry) for entry in os.listdir('/proc/self/fd')]
    except OSError:
        return found
    for fd in entries:
        if fd > 2 and fd != ours and is_socket(fd):
            found.append(f'fd {fd}: {peer(fd)}')
    return found


def is_socket(fd):
    try:
        return os.readlink(f'/proc/self/fd/{fd}').startswith('socket:')
    except OSError:
        return False


def peer(fd):
    sock = socket.socket(fileno=os.dup(fd))
    try:
        family = socket.AddressFamily(sock.family).name
        try:
            return f'{family} connected to {address(sock.getpeername())}'
        except OSError:
            return f'{family} bound to {address(sock.getsockname())}'
    except (OSError, ValueError) as exc:
        return f'socket ({exc})'
    finally:
        sock.close()


def address(name):
    return ':'.join(map(str, name[:2])) if isinstance(name, tuple) else str(name or 'its pair')


def rss_bytes():
    try:
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')
    except OSError:
        return 0
