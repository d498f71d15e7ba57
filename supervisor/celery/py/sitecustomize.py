"""Run by every Python that starts with our directory on PYTHONPATH: once, in the
Celery worker itself. It takes its own traces out of the environment first, so that
nothing the app starts sees them, then lets an existing sitecustomize have its turn.
"""
import sys


def _crisper_begin():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    fds = os.environ.pop("CRISPER_INJECT_FDS", None)
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p != here]
    if any(path):
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
    else:
        os.environ.pop("PYTHONPATH", None)
    try:
        if fds is not None:
            from crisper_inject import agent

            agent.begin(*map(int, fds.split(",")))
    except Exception as exc:  # the app must not suffer from us
        sys.stderr.write("crisper: the agent is off: %r\n" % (exc,))
    finally:
        sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here or not p]


def _crisper_chain():
    """Import the sitecustomize that would have been imported without us."""
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as exc:
        if exc.name != "sitecustomize":
            raise
    finally:
        if own is not None:
            sys.modules.setdefault("sitecustomize", own)


_crisper_begin()
_crisper_chain()
