"""The call chain changes every few microseconds between a and b; no stack ever mixes them. Argument: CPU seconds."""
import sys

import truth


def leaf_a(n):
    for _ in range(n): pass
def mid_a(n):
    leaf_a(n)  # mark: mid_a
def top_a(n):
    mid_a(n)  # mark: top_a
def leaf_b(n):
    for _ in range(n): pass
def mid_b(n):
    leaf_b(n)  # mark: mid_b
def top_b(n):
    mid_b(n)  # mark: top_b
def alternate(end, clock=truth.clock):
    while clock() < end:
        top_a(20); top_b(40)  # mark: alternate


truth.say(functions=truth.functions())
truth.begin()
alternate(truth.clock() + float(sys.argv[1]))  # mark: module
truth.end()
