"""Threads that burn CPU in C code which has released the GIL: zlib, hashlib and sqlite3.

Without the libraries (Debian has none of them for musl) only hashlib remains, which releases the GIL by itself from 3.12 on.
"""
import hashlib
import sys
import threading

import truth

LIBRARIES = not truth.build()["musl"]
if LIBRARIES:
    import sqlite3
    import zlib

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


def targets():
    if LIBRARIES:
        yield packing
        yield querying
    # A build without OpenSSL before 3.12 holds the GIL.
    if sys.version_info >= (3, 12) or "openssl" in hashlib.sha256.__name__:
        yield hashing


truth.begin()
threads = [threading.Thread(target=target) for target in targets()]
for thread in threads:
    thread.start()
    if truth.HOLD is not None: thread.join()
for thread in threads: thread.join()
truth.end()
