"""A year of stock celery beat with an injected clock: argument ZONE, argument START
(seconds since 1970), argument DAYS. Prints one JSON object:

    {"entries": {name: schedule, as the app's Python prints it},
     "ticks": [[name, microseconds since 1970], ...]}

The scheduler is Celery's own; only the app's now() and the sending are replaced. All
schedules are of whole seconds, so that no tick is late and nothing drifts.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab, schedule

zone, start, days = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
millis = start * 1000


class App(Celery):
    def now(self):
        return (EPOCH + timedelta(milliseconds=millis)).astimezone(self.timezone)


app = App("year", set_as_current=False, broker="memory://", backend="disabled://")
app.conf.update(timezone=zone, enable_utc=True)
SCHEDULES = {
    "ten-minutes": 600.0,
    "odd": timedelta(seconds=2531),
    "day": timedelta(days=1),
    "relative-hour": schedule(timedelta(hours=1), relative=True),
    "relative-day": schedule(timedelta(days=1), relative=True),
    "quarters": crontab("*/15"),
    "hourly": crontab("7"),
    "in-the-gap": crontab("30", "2"),
    "half-hours-at-two": crontab("0,30", "2"),
    "half-past-one": crontab("30", "1"),
    "midnight": crontab("0", "0"),
    "stepped-at-one": crontab("*/20", "1"),
    "working-days": crontab("0", "9-17", "mon-fri"),
    "month-ends": crontab("59", "23", day_of_month="28-31"),
    "first-monday": crontab("0", "8", "mon", "1-7"),
    "quarterly": crontab("0", "6", day_of_month="1", month_of_year="*/3"),
    "friday-13": crontab("13", "13", "fri", "13"),
    "leap-day": crontab("0", "12", day_of_month="29", month_of_year="2"),
}
app.conf.beat_schedule = {name: {"task": "t", "schedule": s} for name, s in SCHEDULES.items()}
ticks = []


class Recorder(Scheduler):
    def apply_async(self, entry, producer=None, advance=True, **kwargs):
        ticks.append([entry.name, millis * 1000])

    producer = None


def printed(s):
    if isinstance(s, crontab):
        fields = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
        form = {"kind": "crontab", **{f: getattr(s, "_orig_" + f) for f in fields}, "tz": zone}
        return {**form, "sets": {f: sorted(getattr(s, f)) for f in fields}}
    seconds = s.run_every.total_seconds() if isinstance(s, schedule) else timedelta(seconds=s).total_seconds() \
        if isinstance(s, float) else s.total_seconds()
    return {"kind": "interval", "seconds": seconds, "relative": getattr(s, "relative", False), "tz": zone}


scheduler = Recorder(app)
end = (start + days * 86400) * 1000
while True:
    sent = len(ticks)
    delay = scheduler.tick()
    if len(ticks) > sent:
        continue
    # Celery wakes 10 ms early, looks again without a pause, and finds the tick due.
    millis += round(delay * 1000) or 10
    if millis > end:
        break
print(json.dumps({"entries": {n: printed(s) for n, s in SCHEDULES.items()}, "ticks": ticks}))
