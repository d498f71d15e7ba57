"""What is nice to have must never be the reason for which a task fails."""
import functools
import sys

_off = set()


def never_raise(fun):
    """Call fun; after its first exception say so in one line and never call it again."""
    @functools.wraps(fun)
    def guarded(*args, **kwargs):
        if fun.__name__ in _off:
            return None
        try:
            return fun(*args, **kwargs)
        except Exception as exc:
            _off.add(fun.__name__)
            say(f'{fun.__name__} is switched off: {exc!r}')
            return None
    return guarded


def say(text):
    """One line to the real stderr: sys.stderr may be Celery's log by now."""
    try:
        stream = sys.__stderr__
        stream.write(f'crisper agent: {text}\n')
        stream.flush()
    except Exception:
        pass  # there is nobody left to tell


def told_to_go(exc):
    """Is this what billiard raises where a signal that ends the process arrived?"""
    common = sys.modules.get('billiard.common')
    return isinstance(exc, SystemExit) and common is not None and bool(common._should_have_exited[0])


@never_raise
def set_title(text):
    if 'setproctitle' in sys.modules:
        sys.modules['setproctitle'].setproctitle(text)


@never_raise
def flush_std():
    """os._exit does not, and a task's last prints are somebody's evidence."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
