"""Threads that want the GIL all the time, beside others that wait for locks. Argument: seconds.

Says how long each of those that want it was blocked by its own clocks (see `waits.py`): they wait for nothing else.
"""
import sys
import threading
import time

import truth

now = getattr(time, "monotonic", time.time)
SECONDS = float(sys.argv[1])

facts = {}
never = threading.Lock()
over = threading.Lock()
started = threading.Event()


def spin(end):
    while now() < end:
        pass


def want_the_gil(name):
    started.wait()
    end = now() + SECONDS
    start = now(), truth.cpu(), truth.run_delay()
    spin(end)
    seconds, cpu, waiting = (after - before for after, before in zip((now(), truth.cpu(), truth.run_delay()), start))
    facts[name] = {"tid": truth.thread_id(), "blocked": seconds - cpu - waiting, "waiting": waiting, "cpu": cpu}
    # The end of a thread would be the end of what the kernel half knows of it.
    never.acquire()


def wait_for_lock():
    never.acquire()


def report():
    time.sleep(SECONDS + 1)
    while len(facts) < 2:
        time.sleep(0.05)
    truth.end(waits=facts)
    over.release()


truth.begin()
never.acquire()
over.acquire()
for target, arguments in [(want_the_gil, ("one",)), (want_the_gil, ("two",)), (wait_for_lock, ()), (report, ())]:
    thread = threading.Thread(target=target, args=arguments)
    thread.daemon = True
    thread.start()
started.set()
over.acquire()
