"""What runs before the fork must leave no trace."""
import logging
import types
import unittest

try:
    from celery import Celery, _state, signals
    from celery.app import trace
except ImportError:
    Celery = None


@unittest.skipUnless(Celery, 'needs Celery')
class WarmUp(unittest.TestCase):
    def setUp(self):
        self.app = Celery('tests', set_as_current=False, broker='memory://', backend='cache+memory://')
        self.app.finalize()
        trace.setup_worker_optimizations(self.app, 'host')
        self.addCleanup(trace.reset_worker_optimizations, self.app)
        self.loaded = types.SimpleNamespace(app=self.app, worker=types.SimpleNamespace(hostname='host'))

    def warm_up(self):
        from crisper_agent import guard, warm
        guard._off.discard('warm_up')
        warm.warm_up(self.loaded)
        self.assertNotIn('warm_up', guard._off)

    def test_it_runs_the_tracer_and_puts_the_registry_back(self):
        before, counted = trace._localized[0], []
        build = trace.build_tracer
        self.addCleanup(setattr, trace, 'build_tracer', build)

        def counting(name, *args, **kwargs):
            tracer = build(name, *args, **kwargs)

            def traced(*a, **k):
                counted.append(name)
                return tracer(*a, **k)
            return traced
        counting.__module__ = 'celery.app.trace'
        trace.build_tracer = counting
        self.warm_up()
        self.assertGreater(len(counted), 100)
        self.assertIs(trace._localized[0], before)
        self.assertNotIn('crisper.warm', self.app.tasks)

    def test_no_signal_and_no_log_line_is_seen_and_both_work_afterwards(self):
        seen, lines = [], []

        def receiver(**kwargs):
            seen.append(kwargs)
        handler = logging.Handler()
        handler.emit = lines.append
        logging.getLogger('celery').addHandler(handler)
        self.addCleanup(logging.getLogger('celery').removeHandler, handler)
        logging.getLogger('celery').setLevel(logging.INFO)
        for signal in (signals.task_prerun, signals.task_postrun, signals.task_success):
            signal.connect(receiver)
            self.addCleanup(signal.disconnect, receiver)
        self.warm_up()
        self.assertEqual((seen, lines), ([], []))
        signals.task_prerun.send(sender=self)
        logging.getLogger('celery').info('a line')
        self.assertEqual((len(seen), len(lines)), (1, 1))

    def test_the_current_app_and_task_stay_as_they_were(self):
        app, task = _state.default_app, _state.get_current_task()
        self.warm_up()
        self.assertIs(_state.default_app, app)
        self.assertIs(_state.get_current_task(), task)

    def test_a_replaced_tracer_is_not_run(self):
        build = trace.build_tracer
        self.addCleanup(setattr, trace, 'build_tracer', build)
        trace.build_tracer = lambda *args, **kwargs: self.fail('it was called')
        self.warm_up()
