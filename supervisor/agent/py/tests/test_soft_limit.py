"""The soft limit against a tracer of the same shape as Celery's."""
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from crisper_agent import soft_limit  # noqa: E402


class Limit(Exception):
    pass


TRACER = '''
def build_tracer(task, before, after):
    fun = task

    def trace_task():
        before()
        try:
            R = fun()
        except Exception as exc:
            R = exc
        after()
        return R

    return trace_task
'''


class SoftLimit(unittest.TestCase):
    def setUp(self):
        self.words, self.globals = [7, 7], {}
        exec(compile(TRACER, 'tracer', 'exec'), self.globals)
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        soft_limit.install(self.words, self.globals, Limit)

    def trace(self, task=lambda: 'done', before=lambda: None, after=lambda: None):
        return self.globals['build_tracer'](task, before, after)()

    def test_the_body_is_interrupted(self):
        self.assertIsInstance(self.trace(task=interrupt), Limit)

    def test_so_is_what_the_body_calls(self):
        self.assertIsInstance(self.trace(task=lambda: sorted([1], key=lambda _: interrupt())), Limit)

    def test_before_the_body_it_waits_for_it(self):
        entered = []
        got = self.trace(task=lambda: entered.append(1), before=interrupt)
        self.assertIsInstance(got, Limit)
        self.assertEqual(entered, [])
        self.assertIsNone(sys.getprofile())

    def test_after_the_body_it_is_dropped(self):
        self.assertEqual(self.trace(after=interrupt), 'done')
        self.assertIsNone(sys.getprofile())
        self.assertEqual(self.trace(), 'done')

    def test_it_is_for_the_named_task_only(self):
        for current, target in ((0, 0), (7, 8), (8, 7), (0, 7)):
            self.words[:] = current, target
            self.assertIsNone(self.trace(task=interrupt))

    def test_one_that_waits_does_not_outlive_its_task(self):
        interrupt()  # before the tracer, and then the task is over
        self.words[0] = 8
        self.assertEqual(self.trace(), 'done')

    def test_it_is_raised_once_for_each_task(self):
        def stubborn():
            try:
                interrupt()
            except Limit:
                interrupt()
                return 'survived'
        self.assertEqual(self.trace(task=stubborn), 'survived')


def interrupt():
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(100):
        pass  # the handler runs at one of these


if __name__ == '__main__':
    unittest.main()
