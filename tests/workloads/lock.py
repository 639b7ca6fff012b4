"""Every 10 ms of wall time: 2 ms in `short`, then 8 ms in `long`. Arguments: CPU seconds; the period, if not 10 ms."""
import sys
import time

import truth

clock, now = truth.clock, time.monotonic
PERIOD = (float(sys.argv[2]) if len(sys.argv) > 2 else 10) / 1000
cpu = {"short": 0.0, "long": 0.0}


def short(end):
    while now() < end: pass


def long(end):
    while now() < end: pass


truth.begin()
stop = clock() + float(sys.argv[1])
while clock() < stop:
    period = now() // PERIOD * PERIOD
    for function, end in ((short, period + 0.2 * PERIOD), (long, period + PERIOD)):
        start = clock()
        function(end)
        cpu[function.__name__] += clock() - start
truth.end(cpu=cpu)
