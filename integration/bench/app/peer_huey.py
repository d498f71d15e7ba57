"""The no-op task for Huey. As a script: fill the queue with N messages."""

import os
import sys

from benchcount import count
from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS"], results=False)


@huey.task()
def noop():
    count()


if __name__ == "__main__":
    # The worker imports this file as peer_huey: messages must name that module.
    import peer_huey

    for _ in range(int(sys.argv[1])):
        peer_huey.noop()
