"""Answers what the installed Celery makes of schedules: one JSON list of questions per
line on standard input, one list of answers per line on standard output.

    ["zones"]                                       -> names of time zones
    ["sets", [minute, hour, dom, month, dow]]       -> five sorted lists, or null: refused
    ["next", zone, [...], last]                     -> the next run
    ["relative", zone, seconds, last]               -> the next run
    ["due", zone, [...], last, now, deadline]       -> is_due

Moments are microseconds since 1970.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import available_timezones

from celery import Celery
from celery.schedules import crontab, schedule

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
apps = {}
now = None


def app_in(zone):
    if zone not in apps:
        apps[zone] = Celery("schedules", set_as_current=False)
        apps[zone].conf.update(timezone=zone, enable_utc=True)
    return apps[zone]


def moment(app, microseconds):
    """As Celery keeps last_run_at: aware, in the app's time zone."""
    return (EPOCH + microseconds * MICROSECOND).astimezone(app.timezone)


def cron(fields, app=None):
    minute, hour, dom, month, dow = fields
    return crontab(minute, hour, dow, dom, month, app=app, nowfun=lambda: now)


def sets(fields):
    try:
        c = cron(fields)
    except Exception:
        return None
    return [sorted(s) for s in (c.minute, c.hour, c.day_of_month, c.month_of_year, c.day_of_week)]


def after(s, last):
    global now
    now = moment(s.app, last)
    return last + s.remaining_estimate(now) // MICROSECOND


def due(zone, fields, last, at, deadline):
    global now
    app = app_in(zone)
    app.conf.beat_cron_starting_deadline = deadline
    now = moment(app, at)
    answer = cron(fields, app).is_due(moment(app, last)).is_due
    app.conf.beat_cron_starting_deadline = None
    return answer


ANSWERS = {
    "zones": lambda: sorted(available_timezones()),
    "sets": sets,
    "next": lambda zone, fields, last: after(cron(fields, app_in(zone)), last),
    "relative": lambda zone, seconds, last: after(
        schedule(timedelta(seconds=seconds), True, nowfun=lambda: now, app=app_in(zone)), last),
    "due": due,
}

for line in sys.stdin:
    print(json.dumps([ANSWERS[kind](*arguments) for kind, *arguments in json.loads(line)]), flush=True)
