"""Filling the holes of Python's memory before the fork."""
import os
import pathlib
import subprocess
import sys
import unittest

AGENT = pathlib.Path(__file__).resolve().parents[1]

#: Objects of one size, every fifth of which is freed: holes in many pages. Printed is the
#: number of pages in which ten new ones lie, before and after.
PLAY = '''
import sys
sys.path.insert(0, sys.argv[1])
from crisper_agent import holes
made = [bytes(100) for _ in range(2000)]
del made[::5]

def pages():
    new = [bytes(100) for _ in range(10)]
    return len({id(item) >> 12 for item in new})

before = pages()
holes.fill()
print(before, pages(), len(holes._filler))
'''


@unittest.skipUnless(sys.implementation.name == 'cpython', 'CPython only')
class Holes(unittest.TestCase):
    def play(self, **env):
        out = subprocess.run([sys.executable, '-c', PLAY, str(AGENT)], capture_output=True, text=True,
                             check=True, env={**os.environ, **env})
        return map(int, out.stdout.split())

    @unittest.skipIf(hasattr(sys, 'gettotalrefcount'), 'a debug build has an allocator of its own')
    def test_new_objects_lie_side_by_side_afterwards(self):
        before, after, _ = self.play(PYTHONMALLOC='default')
        self.assertLessEqual(after, 2)
        self.assertLessEqual(after, before)

    def test_memory_of_another_allocator_is_left_alone(self):
        *_, filled = self.play(PYTHONMALLOC='malloc')
        self.assertEqual(filled, 0)


if __name__ == '__main__':
    unittest.main()
