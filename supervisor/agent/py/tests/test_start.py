"""A signal that ends a child before it has reached its loop."""
import subprocess
import sys
import unittest

try:
    import billiard
except ImportError:
    billiard = None

SCRIPT = '''
import os, sys, time
from billiard import common
from crisper_agent import zygote

class Loaded:
    before_fork = staticmethod(lambda: None)

def start(middle):
    common.reset_signals()
    {0}

zygote.fork_child(start, Loaded)
'''


def stderr_of(start):
    # Until the end of stderr: the child, which is nobody's to wait for, has it as well.
    done = subprocess.run([sys.executable, '-c', SCRIPT.format(start)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    return done.stderr.decode()


@unittest.skipUnless(billiard, 'needs billiard')
class StartOfAChild(unittest.TestCase):
    def test_one_that_is_told_to_go_goes_without_a_word(self):
        for signal in ('SIGTERM', 'SIGHUP'):
            self.assertEqual(stderr_of(f'import signal; os.kill(os.getpid(), signal.{signal}); time.sleep(10)'), '')

    def test_one_that_fails_says_why(self):
        self.assertIn('RuntimeError: no', stderr_of('raise RuntimeError("no")'))
        self.assertIn('SystemExit: 3', stderr_of('raise SystemExit(3)'))
