"""Load the app and bring up Celery's own Worker object, as `celery worker` does.

Everything up to the point where the worker would start its pool and consumer is
the real thing, with its signals in their order (celery/bin/worker.py,
celery/apps/worker.py, celery/worker/worker.py): only the bootsteps are left out.
"""
import logging
import os
import sys
import time
import traceback

from . import numbers

MISSING_MODULE = 'Unable to load celery application.\nThe module {0} was not found.'
BROKEN_MODULE = ('Unable to load celery application.\n'
                 'While trying to load the module {0} the following error occurred:\n{1}')
MISSING_APP = 'Unable to load celery application.\n{0}'

BAD_SETTING = 'Unable to parse extra configuration from command line.'

#: Options of `celery worker` that concern a process of ours, not Python's.
NOT_OURS = {'pidfile', 'detach', 'uid', 'gid', 'umask', 'executable', 'purge'}


class LoadError(Exception):
    """The app cannot be loaded, in Celery's words."""


class BadSetting(LoadError):
    """A setting cannot be what it is. Of what was typed after the options Celery says
    that it is wrong usage; for what the app says it is the same here."""


class Loaded:
    """The loaded app, its Worker object and how long it took."""

    def __init__(self, app, worker, seconds):
        self.app, self.worker, self.seconds = app, worker, seconds


def load(options):
    began = time.monotonic()
    enter_environment(options)
    app = find_app(options.get('app'))
    worker = check_numbers(app, lambda: make_worker(app, options))
    finish_setup(app, worker)
    return Loaded(app, worker, time.monotonic() - began)


def enter_environment(options):
    """The global options reach the app the way they do in celery/bin/celery.py."""
    sys.argv[:] = imitate_argv(options)
    if options.get('workdir'):
        os.chdir(options['workdir'])
    for option, variable in (('loader', 'CELERY_LOADER'), ('broker', 'CELERY_BROKER_URL'),
                             ('result_backend', 'CELERY_RESULT_BACKEND'),
                             ('config', 'CELERY_CONFIG_MODULE')):
        if options.get(option):
            os.environ[variable] = options[option]
    if options.get('skip_checks'):
        os.environ['CELERY_SKIP_CHECKS'] = 'true'


def imitate_argv(options):
    """Apps look at sys.argv to learn that they are in a worker. No URLs in it."""
    app = ['-A', options['app']] if options.get('app') else []
    return ['celery', *app, 'worker', *options.get('extra', ())]


def find_app(name):
    """The app that -A names, or the default app; errors as `celery` words them."""
    from celery.app.utils import find_app as find
    if not name:
        from celery._state import get_current_app
        return get_current_app()
    try:
        return find(name)
    except ModuleNotFoundError as exc:
        if exc.name != name:
            raise LoadError(BROKEN_MODULE.format(name, traceback.format_exc())) from exc
        raise LoadError(MISSING_MODULE.format(exc.name)) from exc
    except AttributeError as exc:
        said = str(exc.args[0]).capitalize() if exc.args else repr(exc)
        raise LoadError(MISSING_APP.format(said)) from exc
    except Exception as exc:
        raise LoadError(BROKEN_MODULE.format(name, traceback.format_exc())) from exc


def check_numbers(app, make):
    """make(), with a word about the setting that it stumbled over, or that we would."""
    try:
        made = make()
    except (ValueError, TypeError) as exc:
        wrong = numbers.wrong(app.conf)
        if wrong:
            raise BadSetting('; '.join(wrong)) from exc
        raise
    wrong = numbers.wrong(app.conf, numbers.READ_BY_US)
    if wrong:
        raise BadSetting('; '.join(wrong))
    return made


def make_worker(app, options):
    """Celery's Worker with an empty blueprint: no hub, pool, timer or consumer."""
    base = app.Worker

    class Blueprint(base.Blueprint):
        default_steps = set()

        def __init__(self, steps=None, **kwargs):
            super().__init__(steps=(), **kwargs)  # custom ones: describe.py refuses them

    class Worker(base):
        pass

    Worker.Blueprint = Blueprint
    return Worker(**worker_arguments(app, options))


def worker_arguments(app, options):
    """What celery/bin/worker.py would pass: click's defaults and conversions,
    the app's own options and key=value arguments included."""
    from celery.bin.base import CLIContext
    from celery.bin.worker import worker as command
    preload_options = list(app.user_options.get('preload', ()))
    command.params.extend(app.user_options.get('worker', ()))
    command.params.extend(preload_options)
    obj = CLIContext(app=app, no_color=options.get('worker', {}).get('no_color', False),
                     workdir=options.get('workdir'), quiet=True)
    node = ['-n', options['hostname']] if options.get('hostname') else []
    context = command.make_context('worker', node + list(options.get('extra', ())), obj=obj)
    kwargs = dict(context.params)
    overlay(command, context, kwargs, options.get('worker') or {})
    if preload_options:
        send_preload_options(app, command, preload_options, kwargs)
    disable_prefetch = kwargs.pop('disable_prefetch', None)
    if disable_prefetch is not None:
        app.conf.worker_disable_prefetch = disable_prefetch
    if context.args:
        apply_settings(app, context.args)
    for name in NOT_OURS:
        kwargs.pop(name, None)
    expand_nodes(kwargs)
    kwargs.setdefault('no_color', obj.no_color)
    kwargs['quiet'] = True
    return kwargs


def apply_settings(app, arguments):
    """Trailing key=value arguments."""
    try:
        app.config_from_cmdline(list(arguments), namespace='worker')
    except KeyError as exc:
        raise BadSetting(f'{BAD_SETTING}\nReason: Celery has no setting {exc}') from exc
    except ValueError as exc:
        raise BadSetting(f'{BAD_SETTING}\nReason: {exc}') from exc


def overlay(command, context, kwargs, given):
    """Options that the supervisor has parsed already win; text is converted by click."""
    types = {param.name: param for param in command.params}
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, str) and name in types:
            value = types[name].type.convert(value, types[name], context)
        elif name == 'autoscale' and isinstance(value, list):
            value = tuple(value)
        kwargs[name] = value


def send_preload_options(app, command, preload_options, kwargs):
    from celery.signals import user_preload_options
    taken = {option.name: kwargs.get(option.name) for option in preload_options}
    user_preload_options.send(sender=command, app=app, options=taken)


def expand_nodes(kwargs):
    from celery.utils.nodenames import node_format
    if kwargs.get('statedb'):
        kwargs['statedb'] = node_format(kwargs['statedb'], kwargs.get('hostname'))


def finish_setup(app, worker):
    """What Worker.on_start does before the pool starts; no pidfile, banner or signal
    handlers, which are the supervisor's."""
    from celery import signals
    pending = getattr(worker, '_pending_concurrency_log', None)
    if pending is not None:
        level, text, args = pending
        getattr(logging.getLogger('celery.worker'), level)(text, *args)
    signals.celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=app.conf)
    if not worker._custom_logging and worker.redirect_stdouts:
        app.log.redirect_stdouts(worker.redirect_stdouts_level)
    # Celery's banner does this before the pool forks: the object is made (looking its
    # class up reads the metadata of every installed package), nothing connects.
    app.backend.as_uri()
    warn_deprecated_settings(app)


def warn_deprecated_settings(app):
    source = app._config_source
    if isinstance(source, str) and source.lower() == 'django.conf:settings':
        return
    if app.conf.maybe_warn_deprecated_settings():
        logging.getLogger('celery.apps.worker').warning(
            'Please run `celery upgrade settings path/to/settings.py` '
            'to avoid these warnings and to allow a smoother upgrade to Celery 6.0.')
