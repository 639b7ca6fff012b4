"""asyncio: tasks, gather, nested awaits, asynchronous context managers, generators and callbacks."""
import asyncio

import truth


class Managed:
    async def __aenter__(self):
        await asyncio.sleep(0)
        truth.burn()

    async def __aexit__(self, *exception):
        truth.burn()


async def burning(clock=truth.clock):
    await asyncio.sleep(0)
    burn = truth.Burn(2)
    end = burn.end
    while clock() < end: pass
    burn.done()


async def awaiting(depth):
    await (awaiting(depth - 1) if depth else burning())


async def counting():
    for n in range(2):
        await asyncio.sleep(0)
        yield n


async def main():
    await asyncio.gather(awaiting(5), asyncio.sleep(0.001), awaiting(0))
    await asyncio.ensure_future(awaiting(1))
    async with Managed():
        async for n in counting(): truth.burn()
    loop.call_soon(truth.burn)
    await asyncio.sleep(0)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
truth.begin()
loop.run_until_complete(main())
truth.end()
