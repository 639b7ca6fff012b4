"""An innocent busy program: three functions share CPU time, and it notes how much it has used by when. Argument: seconds."""
import random
import sys
import time

import truth

clock, wall = time.thread_time_ns, time.time_ns
cpu_ns = {"red": 0, "green": 0, "blue": 0}
#: Nanoseconds since 1970, and of CPU time by then.
progress = []


def red(end):
    while clock() < end: pass


def green(end):
    while clock() < end: pass


def blue(end):
    while clock() < end: pass


truth.begin()
stop = wall() + int(float(sys.argv[1]) * 1e9)
while wall() < stop:
    for function, mean_ms in ((red, 5), (green, 3), (blue, 2)):
        start = clock()
        progress.append((wall(), start))
        function(start + int(mean_ms * 1e6 * random.uniform(0.5, 1.5)))
        cpu_ns[function.__name__] += clock() - start
progress.append((wall(), clock()))
truth.end(cpu_ns=cpu_ns, progress=progress)
