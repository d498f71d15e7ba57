import subprocess
import sys
import unittest

from crisper_agent import trim

SMAPS = """\
00400000-00d8a000 r-xp 00000000 fe:00 17 /usr/lib/libpython3.11.so.1.0
Rss:                8336 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
00d8a000-018ba000 r--p 0098a000 fe:00 17                    /usr/lib/libpython3.11.so.1.0
Anonymous:            84 kB
018ba000-01946000 rw-p 014ba000 fe:00 17 /usr/lib/libpython3.11.so.1.0
Anonymous:             0 kB
01946000-0398e000 r--p 00000000 00:00 0
Anonymous:             0 kB
0398f000-03990000 r--p 00000000 00:05 9 /dev/something
Anonymous:             0 kB
7ffd0000-7ffe0000 r-xp 00000000 00:00 0  [vdso]
Anonymous:             0 kB
7fff0000-7fff1000 r--p 00000000 fe:00 18                         /usr/share/a file (deleted)
Anonymous:             0 kB
"""

IN_A_PROCESS = """
import ssl, ctypes
from crisper_agent import trim
def files():
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('RssFile'))
before = files()
trim.unmap_files()
after = files()
import decimal, csv  # goes on as before
print(before, after)
"""


class Trim(unittest.TestCase):
    def test_only_what_is_still_the_files_is_taken_out(self):
        self.assertEqual(list(trim.unchanged(SMAPS.splitlines(True))),
                         [(0x400000, 0xd8a000), (0x7fff0000, 0x7fff1000)])

    @unittest.skipUnless(sys.platform.startswith('linux'), 'there is no /proc')
    def test_a_process_has_fewer_pages_of_files_and_goes_on(self):
        out = subprocess.run([sys.executable, '-c', IN_A_PROCESS], capture_output=True, text=True, timeout=60, check=True)
        before, after = map(int, out.stdout.split())
        self.assertLess(after, before)
