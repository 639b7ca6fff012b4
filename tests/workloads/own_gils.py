"""Two interpreters with a GIL of their own, each with two threads that want it all the time. Argument: seconds. From 3.12 on.

Says how long each thread waited for its GIL by its own clocks.
"""
import json
import os
import sys
import threading

import truth

TEXT = """
import os, sys, threading, time
sys.path.insert(0, %(folder)r)
import truth

def spin_%(name)s(end):
    while time.monotonic() < end: pass

def want(name):
    end = time.monotonic() + %(seconds)r
    start = time.monotonic(), truth.cpu(), truth.run_delay()
    spin_%(name)s(end)
    after = time.monotonic(), truth.cpu(), truth.run_delay()
    seconds, cpu, waiting = (one - other for one, other in zip(after, start))
    facts.append(seconds - cpu - waiting)

facts = []
threads = [threading.Thread(target=want, args=(n,)) for n in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.write(%(pipe)d, b"%%f\\n" %% sum(facts))
"""


def interpreter():
    """A function that runs text in an interpreter of its own."""
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        return getattr(interpreters.create(), "exec")
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        identity = interpreters.create("isolated")
    else:
        import _xxsubinterpreters as interpreters
        identity = interpreters.create(isolated=True)

    def execute(text):
        failure = interpreters.run_string(identity, text)
        assert not failure, failure
    return execute


def run(name, execute, pipe):
    execute(TEXT % {
        "name": name, "seconds": float(sys.argv[1]), "pipe": pipe, "folder": os.path.dirname(os.path.abspath(__file__)),
    })


truth.begin()
names, pipes, threads = ["one", "other"], [os.pipe(), os.pipe()], []
for name, (_, pipe) in zip(names, pipes):
    threads.append(threading.Thread(target=run, args=(name, interpreter(), pipe)))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
waited = {name: float(os.read(pipe, 100)) for name, (pipe, _) in zip(names, pipes)}
truth.end(waited=waited)
