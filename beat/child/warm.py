"""celery beat, imported and waiting; beat/child/doc.go says what for.

The other end of descriptor 3 sends a line of JSON with argv and environment, gets
"ready", and sends the moment until which beat may run, again and again.
"""
import json
import os
import select
import signal
import socket
import sys
import threading
import time

#: What a beat ends with that may not run any longer.
EXIT_OVER = 75


def main():
    control = socket.socket(fileno=3)
    control.set_inheritable(False)
    signal.signal(signal.SIGINT, lambda signum, frame: None)  # ^C is for the parent to understand
    lines = Lines(control)
    try:
        options = json.loads(lines.wait())
        sys.argv[:] = options['argv']
        warm(options)
        control.sendall(b'ready\n')
        until = Until(lines)
    except (EOFError, ConnectionError):
        os._exit(0)  # the parent wants nothing of us any more
    threading.Thread(target=until.watch, name='crisper-term', daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from celery.__main__ import main as celery
    sys.exit(celery())


def warm(options):
    """Import what celery beat will. What fails here fails there, with Celery's words."""
    os.environ.update(options['env'])
    import celery.__main__
    import celery.beat
    import celery.bin.beat
    import celery.bin.celery  # noqa: F401
    if options['app']:
        from celery.app.utils import find_app
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        app = find_app(options['app'])
        app.loader.import_default_modules()
        app.finalize()


class Lines:
    def __init__(self, control):
        self.control, self.rest = control, b''

    def wait(self, timeout=None):
        """The next line; None when there is none in time. The end of the socket is ours."""
        while b'\n' not in self.rest:
            if timeout is not None and not select.select([self.control], [], [], max(0, timeout))[0]:
                return None
            data = self.control.recv(65536)
            if not data:
                raise EOFError
            self.rest += data
        line, _, self.rest = self.rest.partition(b'\n')
        return line


class Until:
    """The moment until which beat may run, in seconds of time.monotonic()."""

    def __init__(self, lines):
        self.lines = lines
        self.moment = float(lines.wait())  # this is the word to go

    def watch(self):
        try:
            while True:
                line = self.lines.wait(self.moment - time.monotonic())
                if line is None:
                    os._exit(EXIT_OVER)
                self.moment = float(line)
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(max(0, min(1, self.moment - time.monotonic())))
        os._exit(EXIT_OVER)


main()
