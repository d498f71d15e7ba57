"""Take the pages of programs and libraries that only the import needed out of our memory.

Compiling, unmarshalling and linking run once; their pages, a fifth of the zygote's
memory, stay mapped for as long as it lives. What goes on being used comes back from the
page cache without a read. Children map what they need themselves, whatever we have.
"""
import ctypes
import re

from . import guard

MADV_DONTNEED = 4
#: A mapping of a file that nobody can write to, of /proc/self/smaps.
REGION = re.compile(r'([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +/(?!dev/)')


@guard.never_raise
def unmap_files():
    try:
        with open('/proc/self/smaps') as file:
            regions = list(unchanged(file))
    except OSError:
        return  # not Linux, or a hardened /proc: then we are a little larger
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in regions:
        madvise(start, end - start, MADV_DONTNEED)


def unchanged(lines):
    """Those whose pages are still the file's: what a loader has relocated would be lost,
    and so would the breakpoints of a debugger."""
    region = None
    for line in lines:
        match = REGION.match(line)
        if match:
            region = int(match[1], 16), int(match[2], 16)
        elif line[:1] in '0123456789abcdef':
            region = None
        elif region and line.startswith('Anonymous:') and line.split()[1] == '0':
            yield region
