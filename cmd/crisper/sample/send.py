"""Sends the sample's tasks for as long as it runs."""

import itertools
import os
import signal
import sys
import time

from sample import add, crash, endless, fail, flaky, leak, sleep


def main():
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    parent = os.getppid()
    for n in itertools.count(1):
        if os.getppid() != parent:
            return  # nobody is left to run anything
        for i in range(5):
            add.delay(n, i)
        sleep.apply_async((0.5,), countdown=n % 3)
        flaky.delay(0.5)
        if n % 3 == 0:
            leak.delay(8)
        if n % 7 == 0:
            fail.delay("as it was told to")
        if n % 11 == 0:
            crash.delay()
        if n % 17 == 0:
            endless.delay()
        time.sleep(1)


if __name__ == "__main__":
    main()
