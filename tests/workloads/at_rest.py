"""Threads that stay where they are, and say where that is. What `dump` shows of them is compared with it."""
import sys
import threading
import time

import truth

#: By the names of threads: frames, newest first.
stacks = {}
lock = threading.Lock()
event = threading.Event()


def sleeper():
    stacks["sleeper"] = truth.stack(1)
    time.sleep(1000)


def locked():
    stacks["locked"] = truth.stack(1)
    lock.acquire()


def waiting():
    stacks["waiting"] = truth.stack(1)
    for _ in iter(event.is_set, True): time.sleep(1000)


def deep(depth=300):
    if depth:
        return deep(depth - 1)
    stacks["deep"] = truth.stack(1)
    time.sleep(1000)


def burner():
    stacks["burner"] = truth.stack(1)
    while True: pass


lock.acquire()
for function in (sleeper, locked, waiting, deep, burner):
    thread = threading.Thread(target=function, name=function.__name__)
    thread.daemon = True
    thread.start()
while len(stacks) < 5:
    time.sleep(0.01)
# So that each has come to rest.
time.sleep(0.1)
stacks["MainThread"] = truth.stack(1)
truth.say(ready=True, stacks=stacks); sys.stdin.readline()
