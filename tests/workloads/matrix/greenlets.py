"""Greenlets that switch to each other; each one's stack ends at its own first function."""
from greenlet import getcurrent, greenlet

import truth


def leaf():
    truth.burn()


def switching(depth):
    if depth: return switching(depth - 1)
    getcurrent().parent.switch()
    leaf()
    other.switch()
    truth.burn()


def answering():
    truth.burn()
    back.switch()


truth.begin()
back, other = greenlet(switching), greenlet(answering)
back.switch(30)
truth.burn()
back.switch()
leaf()
truth.end()
