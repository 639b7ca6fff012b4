"""2,000 frames of two functions that call each other."""
import sys

import truth

DEPTH = 2000
sys.setrecursionlimit(DEPTH + 200)


def even(levels):
    odd(levels - 1) if levels > 0 else truth.burn()


def odd(levels):
    if levels <= 0:
        truth.burn()
        return
    even(
        levels - 1)


truth.begin()
even(DEPTH - 3)  # and the module, the last call and `burn`
truth.end()
