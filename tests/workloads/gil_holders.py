"""A thread that holds the GIL, at one line for the first half and at another one for the second, and others that sleep for
moments and then want it, beside one that waits for a lock. Arguments: seconds, sleepers.

Says of each thread how long it waited for the GIL by its own clocks: the time that passed, less what it ran, waited for a
CPU and meant to sleep.
"""
import sys
import threading
import time

import truth

now = getattr(time, "monotonic", time.time)
SECONDS = float(sys.argv[1])
SLEEPERS = int(sys.argv[2])
MOMENT = 0.02

facts = {}
never = threading.Lock()
over = threading.Lock()
started = threading.Event()


def hold_first(end):
    while now() < end: pass


def hold_second(end):
    while now() < end: pass


def clocks():
    return now(), truth.cpu(), truth.run_delay()


def since(start):
    return [after - before for after, before in zip(clocks(), start)]


def hold(name):
    started.wait()
    begin, start = now(), clocks()
    hold_first(begin + SECONDS / 2)
    hold_second(begin + SECONDS)
    seconds, cpu, waiting = since(start)
    facts[name] = {"tid": truth.thread_id(), "waited": seconds - cpu - waiting, "cpu": cpu, "second": 0.0}
    never.acquire()


def sleep_a_moment():
    time.sleep(MOMENT)


def sleep_and_want(name):
    started.wait()
    begin, start, moments, half = now(), clocks(), 0, None
    while now() < begin + SECONDS:
        if half is None and now() >= begin + SECONDS / 2:
            half = moments, clocks()
        sleep_a_moment()
        moments += 1

    def waited(start, moments):
        seconds, cpu, waiting = since(start)
        return seconds - cpu - waiting - moments * MOMENT

    second = waited(half[1], moments - half[0])
    facts[name] = {"tid": truth.thread_id(), "waited": waited(start, moments), "cpu": truth.cpu(), "second": second}
    # The end of a thread would be the end of what the kernel half knows of it.
    never.acquire()


def wait_for_lock():
    never.acquire()


def report():
    time.sleep(SECONDS + 1)
    while len(facts) < 1 + SLEEPERS:
        time.sleep(0.05)
    truth.end(waits=facts)
    over.release()


truth.begin()
never.acquire()
over.acquire()
work = [(hold, ("holder",)), (wait_for_lock, ()), (report, ())]
work += [(sleep_and_want, ("sleeper %d" % number,)) for number in range(SLEEPERS)]
for target, arguments in work:
    thread = threading.Thread(target=target, args=arguments)
    thread.daemon = True
    thread.start()
started.set()
over.acquire()
