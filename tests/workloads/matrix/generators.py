"""Generators inside generators, by loops, send() and throw()."""
import truth


def innermost(clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()
    yield 1


def looping(generator):
    for value in generator:
        yield value


def receiving():
    while True:
        try:
            call = yield
            call()
        except ValueError:
            truth.burn()


truth.begin()
sum(looping(looping(innermost())))
receiver = receiving()
next(receiver)
receiver.send(truth.burn)
receiver.throw(ValueError())
list(zip(looping(innermost()), looping([1])))
truth.end()
