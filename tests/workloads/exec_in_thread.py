"""A thread that is not the first executes another program in place of the process. Argument: CPU seconds of each half."""
import os
import sys
import threading
import time

import truth

clock, seconds = time.thread_time, float(sys.argv[1])


def before(end):
    while clock() < end: pass


def after(end):
    while clock() < end: pass


def executing():
    before(clock() + seconds)
    os.execv(sys.executable, [sys.executable, __file__, str(seconds), str(clock())])


if len(sys.argv) == 2:
    truth.begin()
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    thread = threading.Thread(target=executing)
    thread.start()
    thread.join()
else:
    start = clock()
    after(start + seconds)
    truth.end(cpu={"before": seconds, "after": clock() - start})
