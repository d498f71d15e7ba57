"""Schedules as beat/schedule reads them."""
from .beat_blueprint import zone_name
from .describe import class_path, jsonable, safe_repr

FIELDS = ('minute', 'hour', 'day_of_month', 'month_of_year', 'day_of_week')
METHODS = ('is_due', 'remaining_estimate', 'remaining_delta', 'now')


def schedule_of(schedule):
    """The JSON form. What only Python can answer is opaque, with the reason."""
    from celery import schedules
    cls = type(schedule)
    if cls is schedules.solar:
        return {'kind': 'solar', 'event': schedule.event, 'lat': schedule.lat, 'lon': schedule.lon}
    if cls not in (schedules.schedule, schedules.crontab):
        return opaque(schedule, f'it is a {class_path(cls)}')
    if schedule.nowfun is not None:
        return opaque(schedule, 'it has a nowfun')
    if patched(schedule, schedules):
        return opaque(schedule, f'its {patched(schedule, schedules)} is patched')
    if cls is schedules.schedule:
        return {'kind': 'interval', 'seconds': schedule.run_every.total_seconds(),
                'relative': bool(schedule.relative), 'tz': zone_name(schedule.tz)}
    if not zone_name(schedule.tz):
        return opaque(schedule, 'its time zone has no name')
    spec = {'kind': 'crontab', 'tz': zone_name(schedule.tz),
            'sets': {name: sorted(getattr(schedule, name)) for name in FIELDS}}
    for name in FIELDS:
        spec[name] = written(getattr(schedule, f'_orig_{name}'))
    return spec


def opaque(schedule, why):
    return {'kind': 'opaque', 'class': class_path(type(schedule)), 'repr': safe_repr(schedule), 'why': why}


def patched(schedule, schedules):
    """The first method that is not from Celery's file."""
    for name in METHODS:
        method = getattr(schedule, name, None)
        if method is not None:
            code = getattr(method.__func__, '__code__', None)
            if code is None or code.co_filename != schedules.maybe_schedule.__code__.co_filename:
                return name
    return ''


def written(field):
    """A field of a crontab as its author wrote it."""
    return sorted(field) if isinstance(field, (set, frozenset)) else jsonable(field)
