"""Blocks two threads in known stacks, tells on standard output what the interpreter says about them, and waits.

Run by live_test.rs on every CPython from 3.8. The report is the truth that the walker is held against: code objects by
address, instruction offsets and line tables are the interpreter's own.
"""

import json
import sys
import threading
import time

BLOCKED = threading.Semaphore(0)


def block():
    BLOCKED.release()
    time.sleep(100000)


class Résumé:
    """Latin-1 in its qualified name."""

    def __init__(self, blocks):
        if blocks:
            self.métier(blocks)

    def métier(self, blocks):
        # Through C: a new evaluation loop, with an entry frame of its own from 3.12 on.
        list(map(self.größe_日本, [blocks]))

    def größe_日本(self, blocks):
        def 𐐀deseret():
            yield from (block() for _ in range(1))

        for _ in 𐐀deseret():
            pass


def create(blocks):
    return Résumé(blocks)


def deep(levels):
    if levels:
        deep(levels - 1)
    else:
        # Specialised by now where the interpreter specialises calls of classes.
        create(True)


FOREIGN = "def from_elsewhere(levels):\n\n\n    deep(levels)\n"
exec(compile(FOREIGN, "/tmp/naïve/日本 file.py", "exec"))


def chain(frame):
    while frame is not None:
        yield frame
        frame = frame.f_back


def snapshot(thread_id):
    return [[id(frame.f_code), frame.f_lasti] for frame in chain(sys._current_frames()[thread_id])]


def settled(thread_id):
    """The stack, once it has not moved for a while."""
    before = None
    while True:
        now = snapshot(thread_id)
        if now == before:
            return now
        before = now
        time.sleep(0.05)


def describe(code):
    line_table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
    return {
        "name": getattr(code, "co_qualname", code.co_name),
        "filename": code.co_filename,
        "first_line": code.co_firstlineno,
        "line_table": line_table.hex(),
    }


def report(thread_ids):
    for _ in thread_ids:
        BLOCKED.acquire()
    threads, codes = [], {}
    for thread_id in thread_ids:
        threads.append({"ident": thread_id, "frames": settled(thread_id)})
        for frame in chain(sys._current_frames()[thread_id]):
            codes[id(frame.f_code)] = describe(frame.f_code)
    print(json.dumps({"version": list(sys.version_info[:3]), "threads": threads, "codes": codes}), flush=True)
    BLOCKED.acquire()


def main():
    for _ in range(1000):
        create(False)
    other = threading.Thread(target=from_elsewhere, args=(3,), daemon=True)
    other.start()
    idents = [threading.get_ident(), other.ident]
    threading.Thread(target=report, args=(idents,), daemon=True).start()
    deep(300)


main()
