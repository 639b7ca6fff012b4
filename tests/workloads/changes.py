"""Becomes another between two loops: by name, user or cgroup. Arguments: what, to which, CPU seconds, `self` or `child`."""
import os
import sys
import time

# `truth` takes arguments for numbers.
what, value, seconds, who = sys.argv[1:]
del sys.argv[1:]

import truth

seconds = float(seconds)
clock = time.thread_time
cpu = {}


def before(end):
    while clock() < end: pass


def after(end):
    while clock() < end: pass


def measured(function):
    start = clock()
    function(start + seconds)
    return clock() - start


def change():
    if what == "name":
        with open("/proc/self/comm", "w") as comm:
            comm.write(value)
    elif what == "user":
        os.setuid(int(value))
    else:
        with open(os.path.join(value, "cgroup.procs"), "w") as procs:
            procs.write("0")


def work():
    cpu["before"] = measured(before)
    change()
    cpu["after"] = measured(after)


truth.begin()
if who == "self":
    work()
    truth.end(cpu=cpu, worker=os.getpid())
else:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        work()
        os.write(write, repr(cpu).encode())
        os._exit(0)
    os.waitpid(child, 0)
    truth.end(cpu=eval(os.read(read, 4096)), worker=child)
