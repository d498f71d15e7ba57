"""The part of Crisper that runs inside Python: zygote, executors and steward.

Standard library and the app's own Celery only; Python 3.9 and later.

    zygote.py      the process that has imported the app and only forks
    preload.py     load the app and bring up Celery's own Worker object
    warm.py        run the way of a task before the fork, for children that are quick at once
    describe.py    what the loaded app says about itself (agent.Info)
    holes.py       fill the holes of Python's memory, so that children make their objects side by side
    child.py       the life of a child, from the fork on
    after_fork.py  what a fresh child must undo or redo
    executor.py    take a task, run it, report; one at a time
    soft_limit.py  raise SoftTimeLimitExceeded in the right task's body only
    hooks.py       what the executor asks of Celery
    steward.py     the failure paths of lost tasks, and parent-side signals
    recorder.py    the process that says what became of tasks whose whole Celery worker is gone
    record.py      how it does: the steward's failure path, for a message as kombu had it
    stand_in.py    what the steward has instead of a consumer and an event dispatcher
    beat_*.py      the timekeeper: what `celery beat` knows, told to crisper beat (beat_main.py)
    wire.py        frames; supervisor/wire/doc.go is their definition
    guard.py       things that may fail without harming a task
"""
