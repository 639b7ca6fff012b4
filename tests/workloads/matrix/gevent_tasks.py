"""Greenlets of gevent that take turns; each one's stack ends at its own first function."""
import gevent

import truth


def leaf():
    truth.burn()


def switching(depth):
    if depth: return switching(depth - 1)
    gevent.sleep(0)
    leaf()
    gevent.sleep(0)
    truth.burn()


truth.begin()
gevent.joinall([gevent.spawn(switching, depth) for depth in (0, 5, 30)])
leaf()
truth.end()
