"""Forking a child that is left to the parent of the one that forks."""
import ctypes
import errno
import os
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from crisper_agent import single_fork  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36


def status_of(pid):
    _, status = os.waitpid(pid, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


@unittest.skipUnless(sys.platform == 'linux', 'Linux only')
class SingleFork(unittest.TestCase):
    """Each test is the zygote, in a process of its own, and this one the supervisor."""

    def setUp(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.addCleanup(ctypes.CDLL(None).prctl, PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def zygote(self, play):
        """Run play in a zygote, and return the pids of the children that it wrote."""
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                for child in play(single_fork.SingleFork()):
                    os.write(writer, b'%d ' % child)
                os._exit(0)
            except single_fork.Unable:
                os._exit(77)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(1)
        os.close(writer)
        with os.fdopen(reader) as file:
            status, children = status_of(pid), [int(word) for word in file.read().split()]
        if status == 77:
            self.skipTest('not on this system')
        self.assertEqual(status, 0)
        return children

    def test_child_is_left_to_the_parent_of_the_zygote(self):
        [child] = self.zygote(lambda fork: [fork(lambda middle: os._exit(42))])
        self.assertEqual(status_of(child), 42)

    def test_child_has_a_copy_of_the_memory_and_the_zygote_goes_on_unharmed(self):
        def play(fork):
            words = ['zygote']

            def life(middle):
                words[0] = 'child'
                os._exit(len(words[0]))

            children = [fork(life) for _ in range(3)]
            assert words == ['zygote']
            return children

        self.assertEqual([status_of(child) for child in self.zygote(play)], [5, 5, 5])

    def test_handlers_of_forks_run_once(self):
        def play(fork):
            ran = []
            os.register_at_fork(before=lambda: ran.append('before'), after_in_child=lambda: ran.append('child'),
                                after_in_parent=lambda: ran.append('parent'))
            child = fork(lambda middle: os._exit(0 if ran == ['before', 'child'] else 1))
            assert ran == ['before', 'parent'], ran
            return [child]

        self.assertEqual([status_of(child) for child in self.zygote(play)], [0])

    def test_stack_of_the_zygote_does_not_grow_with_each_child(self):
        def play(fork):
            children = [fork(lambda middle: os._exit(0)) for _ in range(3)]
            before = single_fork.end_of_stack()
            children += [fork(lambda middle: os._exit(0)) for _ in range(100)]
            assert single_fork.end_of_stack() == before
            return children

        self.assertEqual({status_of(child) for child in self.zygote(play)}, {0})

    def test_child_can_go_as_deep_as_any(self):
        def deep(n):
            return n and 1 + int(repr(Deeper(n - 1)))

        class Deeper:  # through C, which is what takes stack
            def __init__(self, n):
                self.n = n

            def __repr__(self):
                return str(deep(self.n))

        def life(middle):
            sys.setrecursionlimit(10_000)
            depth = 150 if sys.version_info[:2] == (3, 12) else 1500  # 3.12 counts calls through C, and allows few
            os._exit(0 if deep(depth) == depth else 1)

        self.assertEqual([status_of(child) for child in self.zygote(lambda fork: [fork(life)])], [0])

    def test_rseq_area_of_the_child_is_registered(self):
        def play(fork):
            def life(middle):
                # 0 where libc does not use it
                again = fork.register_rseq()
                os._exit(0 if again == 0 or ctypes.get_errno() == errno.EBUSY else 1)

            return [fork(life)]

        self.assertEqual([status_of(child) for child in self.zygote(play)], [0])

    def test_thread_ids_of_the_child_are_its_own(self):
        def life(middle):
            done = threading.Event()
            threading.Thread(target=done.set).start()
            ours = threading.get_native_id() == os.getpid() != middle
            os._exit(0 if done.wait(20) and ours else 1)

        self.assertEqual([status_of(child) for child in self.zygote(lambda fork: [fork(life)])], [0])

    def test_zygote_with_threads_is_not_able_to(self):
        def play(fork):
            end = threading.Event()
            thread = threading.Thread(target=end.wait)
            thread.start()
            try:
                return [fork(lambda middle: os._exit(0))]
            except single_fork.Unable:
                return []
            finally:
                end.set()
                thread.join()

        self.assertEqual(self.zygote(play), [])

    def test_child_that_raises_ends(self):
        def life(middle):
            raise SystemExit(7)

        [child] = self.zygote(lambda fork: [fork(life)])
        self.assertEqual(status_of(child), 1)


if __name__ == '__main__':
    unittest.main()
