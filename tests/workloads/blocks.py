"""Sleeps of 100 ms among many short ones, in a thread that does nothing else. Argument: how many. Says how many it were, and
how long each of the long ones took.
"""
import sys
import time

import truth

now = getattr(time, "monotonic", time.time)


def sleep_long():
    start = now()
    time.sleep(0.1)
    return now() - start


def sleep_short():
    for _ in range(200):
        time.sleep(0.0002)


truth.begin()
long = []
for _ in range(int(sys.argv[1])):
    sleep_short()
    long.append(sleep_long())
truth.end(long=long)
