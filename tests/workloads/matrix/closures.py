"""Lambdas, closures, decorators, functools.partial and lru_cache."""
import functools

import truth


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments, **named):
        return function(*arguments, **named)
    return wrapper


@decorated
@decorated
def called(call):
    return call()


def adder(n):
    def add(clock=truth.clock):
        burn = truth.Burn(2)
        end = burn.end + 0 * n
        while clock() < end: pass
        burn.done()
    return add


cached = getattr(functools, "lru_cache", lambda size: lambda function: function)(None)(lambda: called(adder(1)))
truth.begin()
called(lambda: (lambda *_: truth.burn())(1, 2))
cached()
functools.partial(functools.partial(called, call=adder(2)))()
truth.end()
