"""Writes a schedule file as Celery's beat leaves it, its entries due one after the other.

    seed.py PATH BEGIN SPREAD    entry n of N is due at BEGIN + n/N * SPREAD (Unix seconds)
"""

import sys
from datetime import datetime, timezone

from celery.beat import PersistentScheduler

from manyticks import COUNT, app, period

path, begin, spread = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
scheduler = PersistentScheduler(app=app, schedule_filename=path)
for entry in scheduler.schedule.values():
    number = entry.args[0]
    entry.last_run_at = datetime.fromtimestamp(begin + number / COUNT * spread - period(number), timezone.utc)
scheduler.close()
