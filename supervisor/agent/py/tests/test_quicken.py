"""What stands in for a function of Celery's answers what Celery's answers."""
import random
import threading
import unittest
from unittest import mock

try:
    from celery.app import trace
    from celery.app.task import Context
    from celery.utils import saferepr as saferepr_module
    from celery.utils import threads
except ImportError:
    Context = None


@unittest.skipUnless(Context, 'needs Celery')
class Quicken(unittest.TestCase):
    def setUp(self):
        from crisper_agent import guard, quicken
        guard._off.discard('quicken')
        self.headers, self.repr = Context.__dict__['_get_custom_headers'], trace.saferepr
        stack = threads._LocalStack
        self.celerys = {name: stack.__dict__[name] for name in ('push', 'pop', '__len__', 'top')}
        self.addCleanup(setattr, Context, '_get_custom_headers', self.headers)
        self.addCleanup(setattr, trace, 'saferepr', self.repr)
        for name, function in self.celerys.items():
            self.addCleanup(setattr, stack, name, function)
        self.quicken = quicken.quicken

    def run_quicken(self):
        from crisper_agent import guard
        self.quicken()
        self.assertNotIn('quicken', guard._off)

    def test_all_are_known_in_this_version_of_celery_and_of_python(self):
        self.run_quicken()
        self.assertIsNot(Context.__dict__['_get_custom_headers'], self.headers)
        self.assertIsNot(trace.saferepr, self.repr)
        for name, function in self.celerys.items():
            self.assertIsNot(threads._LocalStack.__dict__[name], function)

    def test_custom_headers_are_the_same_and_in_the_same_order(self):
        self.run_quicken()
        ours = Context.__dict__['_get_custom_headers']
        plain = {'lang': 'py', 'task': 't', 'id': '1', 'argsrepr': '()', 'kwargsrepr': '{}', 'compression': None,
                 'delivery_info': {}, 'properties': {}, 'ignore_result': False, 'update': 1, '__init__': 2}
        for request in ({}, plain, dict(plain, zebra=1, mine=[2], aardvark=None), {'mine': 1}, [('mine', 1)]):
            for more in ({}, {'args': (), 'kwargs': {}, 'called_directly': False}, {'yours': 1}):
                mine, celerys = ours(Context(), request, **more), self.headers(Context(), request, **more)
                self.assertEqual(mine, celerys)
                self.assertEqual(list(mine or ()), list(celerys or ()))
        self.assertEqual(ours(Context()), self.headers(Context()))

    def test_a_header_that_context_learns_to_know_later_is_no_custom_one(self):
        self.run_quicken()
        with mock.patch.object(Context, 'mine', None, create=True):
            self.assertIsNone(Context({'mine': 1}).headers)
        self.assertEqual(Context({'mine': 1}).headers, {'mine': 1})

    def test_the_repr_of_a_result_is_the_same_whatever_it_is_and_however_little_may_be_shown(self):
        class Text(str):
            pass

        class Number(int):
            def __str__(self):
                return 'mine'
        self.run_quicken()
        chance = random.Random(1)
        texts = [''.join(chance.choice('ab\'"\\\n\u00e9\U0001f600') for _ in range(chance.randrange(30))) for _ in range(200)]
        values = texts + [None, True, False, 0, -17, 1 << 70, 1.5, float('nan'), float('inf'), 1e300, 1j, b'x', Text("it's"),
                          Number(3), [], [1, 'a'], {'a': None}, (1,), {1}, object, 'a' * 2000]
        for value in values:
            for room in (None, 0, -1, 1, 3, 4, 5, 6, 10, 29, 30, 31, 1024):
                with self.subTest(value=value, room=room):
                    self.assertEqual(trace.saferepr(value, room), saferepr_module.saferepr(value, room))

    def test_stacks_do_what_celerys_do_in_every_thread(self):
        def play(cls, seed, log):
            chance, stack = random.Random(seed), cls()
            for step in range(300):
                if chance.random() < 0.5:
                    log.append(list(stack.push(step)))
                else:
                    log.append(stack.pop())
                log.append((stack.top, len(stack), list(stack.stack), sorted(dict(stack._local).values(), key=str)))

        self.run_quicken()
        mine, ours, celerys = threads._LocalStack, [], []
        play(mine, 7, ours)
        play(type('Celerys', (mine,), self.celerys), 7, celerys)
        self.assertEqual(ours, celerys)

        shared, seen = mine(), []
        shared.push('ours')
        other = threading.Thread(target=lambda: seen.extend((shared.pop(), shared.push('theirs'), shared.top)))
        other.start()
        other.join()
        self.assertEqual((seen, shared.top), ([None, ['theirs'], 'theirs'], 'ours'))

    def test_a_stack_whose_local_holds_other_things_keeps_them(self):
        self.run_quicken()
        stack = threads._LocalStack()
        stack._local.other = 1
        self.assertIsNone(stack.pop())
        stack.push('a')
        self.assertEqual((stack.top, stack._local.other), ('a', 1))

    def test_what_somebody_else_has_replaced_is_left_alone(self):
        def theirs(self, *args, **kwargs):
            return {}
        Context._get_custom_headers = theirs
        trace.saferepr = mine = lambda o, maxlen=None: 'x'
        threads._LocalStack.push = other = lambda self, obj: None
        self.run_quicken()
        self.assertIs(Context.__dict__['_get_custom_headers'], theirs)
        self.assertIs(trace.saferepr, mine)
        self.assertIs(threads._LocalStack.__dict__['push'], other)
        self.assertIs(threads._LocalStack.__dict__['pop'], self.celerys['pop'])
