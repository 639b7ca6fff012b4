"""A program in two versions: `parse` takes another share of its CPU time, `store` the same one, `render` the rest.

Arguments: CPU seconds, the share of `parse` in per cent. Each function is timed by the program's own clock.
"""
import sys

import truth

clock = truth.clock
SHARES = {"parse": int(sys.argv[2]), "store": 30, "render": 70 - int(sys.argv[2])}
cpu = {"parse": 0.0, "store": 0.0, "render": 0.0}


def parse(end):
    while clock() < end: pass


def store(end):
    while clock() < end: pass


def render(end):
    while clock() < end: pass


def main():
    stop = clock() + float(sys.argv[1])
    while clock() < stop:
        for function in (parse, store, render):
            start = clock()
            # In turns of 50 ms, so that what is cut off at the end is nothing.
            function(start + SHARES[function.__name__] * 0.0005)
            cpu[function.__name__] += clock() - start


truth.begin()
main()
truth.end(cpu=cpu)
