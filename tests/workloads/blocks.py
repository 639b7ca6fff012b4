"""Sleeps of 100 ms among short ones: twenty of 5 ms before each, and then many times as many of 0.2 ms. Argument: how many of
each kind. Says how long the long ones took, in all.
"""
import sys
import time

import truth

now = getattr(time, "monotonic", time.time)


def sleep_long():
    start = now()
    time.sleep(0.1)
    return now() - start


def sleep_long_of_many():
    return sleep_long()


def sleep_short(times, seconds):
    for _ in range(times):
        time.sleep(seconds)


truth.begin()
few, many = [], []
for _ in range(int(sys.argv[1])):
    sleep_short(20, 0.005)
    few.append(sleep_long())
for _ in range(int(sys.argv[1])):
    sleep_short(500, 0.0002)
    many.append(sleep_long_of_many())
truth.end(few=sum(few), many=sum(many))
