"""Many idle processes with threads, and some that burn CPU. Arguments: idle processes, threads of each, busy processes, CPU
seconds of each busy one."""
import os
import sys
import threading
import time

import truth

idle, threads, busy = (int(text) for text in sys.argv[1:4])
seconds = float(sys.argv[4])
go, say_go = os.pipe()
# Ends when the last one who could write into it is gone: this process.
alive, keep_alive = os.pipe()


def spin(end, clock=truth.clock):
    while clock() < end: pass


def sleep():
    time.sleep(600)


def child(work):
    pid = os.fork()
    if pid == 0:
        os.close(keep_alive)
        work()
        os._exit(0)
    return pid


def wait():
    for _ in range(threads - 1):
        threading.Thread(target=sleep, daemon=True).start()
    os.read(alive, 1)


def work():
    os.read(go, 1)
    spin(truth.clock() + seconds)


for _ in range(idle): child(wait)
workers = [child(work) for _ in range(busy)]
truth.begin()
os.write(say_go, b"x" * busy)
for pid in workers: os.waitpid(pid, 0)
truth.end(workers=workers)
