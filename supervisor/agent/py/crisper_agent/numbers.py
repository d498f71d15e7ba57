"""Settings that have to be numbers and are none.

Celery finds out when it needs them: with an error that does not say which setting it
was, or in a child that has taken a task.
"""


#: What the supervisor goes by; a value that it cannot read would count as none.
READ_BY_US = ('worker_prefetch_multiplier', 'worker_max_tasks_per_child', 'worker_max_memory_per_child',
              'worker_eta_task_limit', 'worker_soft_shutdown_timeout', 'task_time_limit', 'task_soft_time_limit')


def wrong(conf, names=None):
    """A sentence about each setting, of those named or of all, that is no number."""
    from celery.app.defaults import NAMESPACES, flatten
    numeric = {key for key, option in flatten(NAMESPACES) if option.type in ('int', 'float')}
    sentences = []
    for name in sorted(numeric.intersection(names) if names else numeric):
        value = conf.get(name)
        if value is not None and not is_number(value):
            sentences.append(f'the setting {name} is {value!r} and has to be a number')
    return sentences


def is_number(value):
    if hasattr(value, 'total_seconds'):
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def of_task(task, name):
    """An attribute of a task as a number, 0 for none."""
    value = getattr(task, name, None)
    if value is None or is_number(value):
        return float(value or 0)
    from .preload import BadSetting
    raise BadSetting(f'{name} of the task {task.name} is {value!r} and has to be a number')
