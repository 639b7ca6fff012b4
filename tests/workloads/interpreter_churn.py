"""Interpreters made and ended one after the other, at the same address; then the same in another program that takes the
place of this one. Each runs functions of its own. Argument: CPU seconds of each half. From 3.12 on.
"""
import ctypes
import json
import os
import sys

import truth

newest = ctypes.pythonapi.PyInterpreterState_Head
newest.restype = ctypes.c_void_p
TEXT = """
import time
clock = time.thread_time
def inner_%(name)s(end, clock=clock):
    while clock() < end: pass
def outer_%(name)s(end):
    inner_%(name)s(end)
start = clock()
outer_%(name)s(start + %(seconds)r)
"""


def interpreter():
    """Functions that run text in an interpreter of its own, and that end it."""
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        made = interpreters.create()
        return getattr(made, "exec"), made.close
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        identity = interpreters.create("isolated")
    else:
        import _xxsubinterpreters as interpreters
        identity = interpreters.create(isolated=True)

    def execute(text):
        failure = interpreters.run_string(identity, text)
        assert not failure, failure
    return execute, lambda: interpreters.destroy(identity)


def run(name, seconds):
    execute, close = interpreter()
    addresses.add(newest())
    execute(TEXT % {"name": name, "seconds": seconds})
    cpu["inner_" + name] = seconds
    close()


half, cpu, addresses = json.loads(os.environ.get("HALF", '["first", {}]')) + [set()]
if half == "first":
    truth.begin()
number, stop = 0, truth.clock() + float(sys.argv[1])
while truth.clock() < stop:
    run("%s_%d" % (half, number), 0.01 * (1 + number % 3))
    number += 1
if half == "first":
    os.environ["HALF"] = json.dumps(["second", cpu])
    os.execv(sys.executable, [sys.executable] + sys.argv)
truth.end(cpu=cpu, addresses=len(addresses))
