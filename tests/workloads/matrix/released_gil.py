"""Threads that burn CPU in C code which has released the GIL: zlib, hashlib and sqlite3."""
import hashlib
import sqlite3
import threading
import zlib

import truth

DATA = bytes(bytearray(range(256))) * 4096
QUERY = "with recursive c(x) as (select 1 union all select x + 1 from c limit 200000) select count(*) from c"


def packing(clock=truth.clock):
    burn = truth.Burn(2, releases_gil=True)
    end = burn.end
    while clock() < end: zlib.compress(DATA, 6)
    burn.done()


def hashing(clock=truth.clock):
    burn = truth.Burn(2, releases_gil=True)
    end = burn.end
    while clock() < end: hashlib.sha256(DATA)
    burn.done()


def querying(clock=truth.clock):
    execute = sqlite3.connect(":memory:").execute
    burn = truth.Burn(2, releases_gil=True)
    end = burn.end
    while clock() < end: execute(QUERY)
    burn.done()


truth.begin()
threads = [threading.Thread(target=target) for target in (packing, hashing, querying)]
for thread in threads:
    thread.start()
    if truth.HOLD is not None: thread.join()
for thread in threads: thread.join()
truth.end()
