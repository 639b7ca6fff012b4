"""A thread that is not the first executes another program in place of the process. Argument: CPU seconds of each half."""
import os
import sys
import threading
import time

import truth

clock, seconds = truth.clock, float(sys.argv[1])


def before(end, clock=clock):
    while clock() < end: pass


def after(end, clock=clock):
    while clock() < end: pass


def executing():
    before(clock() + seconds)
    os.environ["EXECUTED"] = "1"
    os.execv(sys.executable, [sys.executable, __file__, str(seconds)])


if "EXECUTED" not in os.environ:
    truth.begin()
    for _ in range(3):
        other = threading.Thread(target=time.sleep, args=(60,))
        other.daemon = True
        other.start()
    thread = threading.Thread(target=executing)
    thread.start()
    thread.join()
else:
    start = clock()
    after(start + seconds)
    truth.end(cpu={"before": seconds, "after": clock() - start})
