"""`with` statements: classes, generators of contextlib, and what runs inside them."""
import contextlib

import truth


class Managed(object):
    def __enter__(self):
        truth.burn()

    def __exit__(self, *exception):
        truth.burn()


@contextlib.contextmanager
def generated():
    truth.burn()
    yield
    truth.burn()


@contextlib.contextmanager
def nested():
    with generated():
        yield


truth.begin()
with Managed(), \
        nested():
    truth.burn()
truth.end()
