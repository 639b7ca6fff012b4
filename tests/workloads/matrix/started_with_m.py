"""A module that is started with `python -m`."""
import os
import sys

if __name__ == "__main__" and __package__ != "matrix":
    os.execv(sys.executable, [sys.executable, "-m", "matrix.started_with_m"] + sys.argv[1:])

import truth


def leaf():
    truth.burn()


truth.begin()
leaf()
truth.end()
