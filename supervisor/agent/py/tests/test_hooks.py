"""What an executor is made of before the fork."""
import unittest

try:
    from celery import Celery
    from celery.app import trace
    from celery.app.task import Task
except ImportError:
    Celery = None


def early():
    return 'early'


def late():
    return 'late'


@unittest.skipUnless(Celery, 'needs Celery')
class Tracers(unittest.TestCase):
    def setUp(self):
        from crisper_agent import hooks
        self.app = Celery('tests', set_as_current=False, broker='memory://', backend='cache+memory://')
        self.app.task(name='early')(early)
        self.app.finalize()
        self.app.tasks['early'].__trace__ = self.zygotes = lambda *args: None
        self.addCleanup(setattr, Task, '__trace__', Task.__trace__)
        hooks.defer_tracers(self.app, 'host')
        self.built, build = [], trace.build_tracer
        self.addCleanup(setattr, trace, 'build_tracer', build)

        def counting(name, *args, **kwargs):
            self.built.append(name)
            return build(name, *args, **kwargs)
        trace.build_tracer = counting

    def run_twice(self, name):
        task = self.app.tasks[name]
        return [task.__trace__('id', (), {}, {'id': 'id'}).retval for _ in range(2)]

    def test_one_is_built_when_its_task_comes_for_the_first_time(self):
        self.assertEqual(self.built, [])
        self.assertEqual(self.run_twice('early'), ['early', 'early'])
        self.assertEqual(self.built, ['early'])

    def test_a_task_that_is_made_in_the_child_has_one_too(self):
        self.app.task(name='late')(late)
        self.assertEqual(self.run_twice('late'), ['late', 'late'])
        self.assertEqual(self.built, ['late'])

    def test_what_the_zygote_has_built_is_not_used(self):
        self.assertIsNot(self.app.tasks['early'].__trace__, self.zygotes)
        self.assertNotIn('__trace__', vars(self.app.tasks['early']))


if __name__ == '__main__':
    unittest.main()
