"""Fill the holes of Python's memory, so that children make their objects side by side.

Python puts a new object into the first free place for its size, and after an import
there are thousands, each in another page that every child would copy to use it. The
places are filled with bytes that nobody reads: they take memory that is taken already.
"""
import os
import sys

SMALLEST, LARGEST, STEP = 16, 512, 16  # sizes that Python's own allocator serves
#: A row of neighbours as long as this is fresh memory; no size has more holes than the limit.
ROW, LIMIT = 1024, 8192
_filler = []


def fill():
    if not ours():
        return
    for size in range(SMALLEST, LARGEST + 1, STEP):
        fill_size(size)


def ours():
    """Is it the allocator that we know?"""
    return (sys.implementation.name == 'cpython' and getattr(sys, '_is_gil_enabled', lambda: True)()
            and not hasattr(sys, 'gettotalrefcount')
            and os.environ.get('PYTHONMALLOC', 'default') in ('default', 'pymalloc'))


def fill_size(size):
    make, last, row = maker(size), 0, 0
    for _ in range(LIMIT):
        item = make()
        _filler.append(item)
        row = row + size if id(item) == last + size else size
        last = id(item)
        if row >= ROW:
            return


def maker(size):
    """A function that takes one place of a size. The head of bytes is 33 bytes long."""
    if size == 16:
        return object
    if size == 32:
        return lambda: float(len(_filler))
    return lambda: bytes(size - 33)
