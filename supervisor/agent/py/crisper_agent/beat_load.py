"""Load the app and make Celery's own beat objects, as `celery beat` does.

The order is that of celery/bin/beat.py and celery/apps/beat.py, 5.3 to 5.7. Left
out are the banner, the pidfile and the signal handlers, which are the supervisor's;
and the scheduler is ours (beat_keeper.py).
"""
import socket
import sys
import time

from . import preload

#: Options of `celery beat` that concern a process of ours, not Python's.
NOT_OURS = ('detach', 'pidfile', 'uid', 'gid', 'umask', 'workdir', 'executable')


class Loaded:
    """The app, its Beat object and Service, and how long it took."""

    def __init__(self, app, beat, service, seconds):
        self.app, self.beat, self.service, self.seconds = app, beat, service, seconds


def load(options):
    began = time.monotonic()
    preload.enter_environment(options)
    sys.argv[:] = imitate_argv(options)
    app = preload.find_app(options.get('app'))
    beat = app.Beat(quiet=True, **beat_arguments(app, options))
    beat.init_loader()
    service = make_service(beat)
    beat.setup_logging()
    if beat.socket_timeout:
        socket.setdefaulttimeout(beat.socket_timeout)
    return Loaded(app, beat, service, time.monotonic() - began)


def imitate_argv(options):
    """Apps look at sys.argv to learn that they are in beat. No URLs in it."""
    app = ['-A', options['app']] if options.get('app') else []
    return ['celery', *app, 'beat', *options.get('extra', ())]


def beat_arguments(app, options):
    """What celery/bin/beat.py would pass: click's defaults and conversions, the app's
    own options and key=value arguments included."""
    from celery.bin.base import CLIContext
    from celery.bin.beat import beat as command
    given = options.get('beat') or {}
    own = list(app.user_options.get('preload', ()))
    command.params.extend(app.user_options.get('beat', ()))
    command.params.extend(own)
    obj = CLIContext(app=app, no_color=given.get('no_color', False),
                     workdir=options.get('workdir'), quiet=True)
    context = command.make_context('beat', list(options.get('extra', ())), obj=obj)
    kwargs = dict(context.params)
    preload.overlay(command, context, kwargs, given)
    if own:
        preload.send_preload_options(app, command, own, kwargs)
    if context.args:
        apply_settings(app, context.args)
    for name in NOT_OURS:
        kwargs.pop(name, None)
    kwargs.setdefault('no_color', obj.no_color)
    return kwargs


def apply_settings(app, arguments):
    """Trailing key=value arguments."""
    try:
        app.config_from_cmdline(list(arguments))
    except (KeyError, ValueError) as exc:
        raise preload.LoadError(f'{preload.BAD_SETTING}\nReason: {exc}') from exc


def make_service(beat):
    """The Service that beat_init is sent with. Two of its arguments are new in 5.7."""
    kwargs = {'app': beat.app, 'max_interval': beat.max_interval,
              'scheduler_cls': beat.scheduler_cls, 'schedule_filename': beat.schedule}
    if hasattr(beat, 'remote_control'):
        kwargs.update(remote_control=beat.remote_control, hostname=beat.hostname)
    return beat.Service(**kwargs)
