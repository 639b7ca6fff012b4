"""Three functions that share CPU time unevenly, each timed by the program's own clock. Argument: CPU seconds."""
import random
import sys

import truth

clock = truth.clock
cpu = {"red": 0.0, "green": 0.0, "blue": 0.0}


def red(end):
    while clock() < end: pass


def green(end):
    while clock() < end: pass


def blue(end):
    while clock() < end: pass


truth.begin()
stop = clock() + float(sys.argv[1])
while clock() < stop:
    for function, mean in ((red, 0.05), (green, 0.03), (blue, 0.02)):
        start = clock()
        function(start + mean * random.uniform(0.5, 1.5))
        cpu[function.__name__] += clock() - start
truth.end(cpu=cpu)
