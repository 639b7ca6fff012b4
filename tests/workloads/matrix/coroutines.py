"""Coroutines and asynchronous generators, driven by hand."""
import truth


class Pause:
    def __await__(self):
        truth.burn()
        yield 1
        truth.burn()


async def innermost(clock=truth.clock):
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()
    await Pause()


async def outer(depth):
    await (outer(depth - 1) if depth else innermost())


async def counting():
    for n in range(2):
        truth.burn()
        yield n


async def looping():
    async for n in counting(): pass
    [n async for n in counting()]


def drive(coroutine):
    try:
        while True: coroutine.send(None)
    except StopIteration:
        pass


truth.begin()
drive(outer(10))
drive(looping())
truth.end()
