"""Calls a small function in a hot loop, with the just-in-time compiler on. Argument: CPU seconds."""
import os
import sys

if os.environ.get("PYTHON_JIT") != "1":
    os.environ["PYTHON_JIT"] = "1"
    os.execv(sys.executable, [sys.executable] + sys.argv)

import truth


def leaf(x):
    y = x + 1
    return y * 2


def hot(count):
    total = 0
    for number in range(count):
        total += leaf(number)
    return total


def work(seconds, clock=truth.clock):
    end = clock() + seconds
    while clock() < end: hot(10000)


truth.begin()
work(float(sys.argv[1]))
truth.end(compiles=sys._jit.is_enabled(), first_line=leaf.__code__.co_firstlineno)
