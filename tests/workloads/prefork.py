"""Two workers, forked before the test says go, that burn CPU in functions of their own. Argument: CPU seconds of each."""
import os
import sys

import truth

seconds = float(sys.argv[1])
read, write = os.pipe()


def first(end, clock=truth.clock):
    while clock() < end: pass


def second(end, clock=truth.clock):
    while clock() < end: pass


workers = []
for work in (first, second):
    pid = os.fork()
    if pid == 0:
        os.read(read, 1)
        work(truth.clock() + seconds)
        os._exit(0)
    workers.append((pid, work.__name__))
truth.begin()
os.write(write, b"go")
for pid, _ in workers: os.waitpid(pid, 0)
truth.end(workers=workers)
