"""Spins in `inner`, called by `middle`, called by `outer`: from `ready` on, every sample must show exactly that."""

import sys


def inner(turns):
    while True:
        turns += 1


def middle():
    inner(0)


def outer():
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    middle()


outer()
