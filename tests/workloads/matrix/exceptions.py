"""Code that runs while an exception is handled or on its way."""
import truth


def failing(depth):
    try:
        if depth: failing(depth - 1)
        raise ValueError(depth)
    finally:
        if not depth: truth.burn()


def handling():
    try:
        failing(3)
    except ValueError:
        try:
            raise KeyError
        except KeyError:
            truth.burn()
        else:
            pass
    else:
        raise AssertionError


class Guard(object):
    def __enter__(self):
        truth.burn()
        return self

    def __exit__(self, *exception):
        truth.burn()
        return True


def generating():
    try:
        yield 1
    finally:
        truth.burn()


truth.begin()
handling()
with Guard():
    with Guard(): failing(0)
generator = generating()
next(generator)
generator.close()
truth.end()
