"""The no-op task for Dramatiq. As a script: fill the queue with N messages."""

import os
import sys

import dramatiq
from benchcount import count
from dramatiq.brokers.redis import RedisBroker

# Without Prometheus and results: the leanest that it offers.
broker = RedisBroker(url=os.environ["BENCH_REDIS"])
dramatiq.set_broker(broker)


@dramatiq.actor
def noop():
    count()


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        noop.send()
