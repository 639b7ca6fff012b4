"""Threads that wait, each in a way of its own, with how long they were blocked by their own clocks. Argument: seconds.

What a thread was blocked is the time that passed less the time that it ran and the time that it waited for a CPU: both are
the kernel's own counts of it.

The kernel stops counting that a thread runs when it begins to look for another one, and the thread leaves its CPU only when
that is found: at least 1.8 us later on average (Linux 6.18; from `rq->clock` to `sched_switch`, in 33,482 switches of a
thread that waits for a disk). It is woken 0.6 us after the clock that the kernel takes for it. So this truth is 1 to 2 us
too long for each wait, and says little of waits that are not much longer than that: here they last 0.15 ms or more.
"""
import fcntl
import mmap
import os
import select
import socket
import sys
import tempfile
import threading
import time

import truth

try:
    import asyncio
except ImportError:
    asyncio = None  # 2.7
try:
    from queue import Queue
except ImportError:
    from Queue import Queue

now = getattr(time, "monotonic", time.time)
SECONDS = float(sys.argv[1])
#: How often the bell rings.
RING = 0.012
#: Begins on a page boundary, as writing past the page cache demands.
BLOCK = mmap.mmap(-1, 4 << 20)

facts = {}
locked = threading.Lock()
contended = threading.Lock()
event = threading.Event()
queue = Queue()
sockets = socket.socketpair()
over = threading.Lock()


def sleep_short(end):
    while now() < end:
        time.sleep(0.003)


def sleep_long(end):
    while now() < end:
        time.sleep(min(1.1, max(end - now(), 0.01)))


def recv(end):
    while now() < end:
        sockets[0].recv(1)


def wait_for_lock(end):
    while now() < end:
        locked.acquire()


def contend(end):
    while now() < end:
        with contended:
            time.sleep(0.002)


def contend_too(end):
    while now() < end:
        with contended:
            time.sleep(0.005)


def wait_for_event(end):
    while now() < end:
        event.wait()
        event.clear()


def get_from_queue(end):
    while now() < end:
        queue.get()


def run_loop(end):
    async_sleep = asyncio.sleep
    loop = asyncio.new_event_loop()
    while now() < end:
        loop.run_until_complete(async_sleep(0.01))
    loop.close()


def wait_for_child(end):
    """Without another program: some of the file systems that tests run in have none."""
    while now() < end:
        child = os.fork()
        if not child:
            time.sleep(0.05)
            os._exit(0)
        os.waitpid(child, 0)


def write_to_disk(end):
    """Past the page cache, and much at a time, so that the CPU has little to do. What a host takes of it meanwhile is counted
    for nobody, and the truth (see above) takes it for blocked: that was about 10 us for each request on a virtual machine.
    """
    with tempfile.TemporaryFile(dir=".") as file:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_DIRECT)
        while now() < end:
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            os.write(file.fileno(), BLOCK)


def wait_in_select(end):
    reader, writer = socket.socketpair()
    while now() < end:
        select.select([reader], [], [], 0.02)


def wait_in_poll(end):
    reader, writer = socket.socketpair()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while now() < end:
        poll.poll(20)


KINDS = [
    sleep_short, sleep_long, recv, wait_for_lock, contend, contend_too, wait_for_event, get_from_queue,
    wait_for_child, write_to_disk, wait_in_select, wait_in_poll,
]
if asyncio:
    KINDS.append(run_loop)


def ring(end):
    """Ends the waits of those that wait for somebody."""
    while now() < end + 0.2:
        time.sleep(RING)
        event.set()
        queue.put(1)
        sockets[1].send(b"x")
        if locked.locked():
            locked.release()


def wait(kind):
    end = now() + SECONDS
    start = now(), truth.cpu(), truth.run_delay()
    kind(end)
    seconds, cpu, waiting = (after - before for after, before in zip((now(), truth.cpu(), truth.run_delay()), start))
    facts[kind.__name__] = {
        "tid": truth.thread_id(), "blocked": seconds - cpu - waiting, "waiting": waiting, "cpu": cpu,
    }
    rest()


def rest():
    """The end of a thread would be the end of what the kernel half knows of it."""
    over.acquire()


truth.begin()
locked.acquire()
over.acquire()
threads = [threading.Thread(target=wait, args=(kind,)) for kind in KINDS]
threads.append(threading.Thread(target=ring, args=(now() + SECONDS,)))
for thread in threads:
    thread.daemon = True
    thread.start()
deadline = now() + SECONDS + 10
while len(facts) < len(KINDS):
    if now() > deadline:
        sys.exit("threads that failed: %s" % sorted({kind.__name__ for kind in KINDS} - set(facts)))
    time.sleep(0.05)
truth.end(waits=facts)
