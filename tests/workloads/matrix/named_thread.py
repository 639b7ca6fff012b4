# -*- coding: utf-8 -*-
"""Threads with names of every kind burn CPU one after the other while ten others wait, the main thread last."""
import threading

import truth

NAMES = [
    None,  # gets one by the interpreter: Thread-11
    "the-busy-one",
    "a name that is longer than fifteen bytes",
    "größe",  # one byte a character
    "名前",  # two
    "🐍 thread",  # four
]


def busy(release):
    truth.burn(thread_name=threading.current_thread().name)
    release()
    stay.wait()


def renamed(release):
    threading.current_thread().name = "a new name"
    busy(release)


class WithAttributes(threading.Thread):
    """Its attributes are in a dictionary of its own."""

    def __init__(self, **options):
        threading.Thread.__init__(self, **options)
        self.daemon = True
        vars(self).update(("attribute %d" % n, n) for n in range(100))
        del self.__dict__["attribute 7"]


def begin(thread):
    """Threads stay until the end: the name of one that is gone can no longer be read."""
    thread.daemon = True
    thread.start()


def wait_for(target, **options):
    finished = threading.Event()
    begin(options.pop("kind", threading.Thread)(target=target, args=(finished.set,), **options))
    finished.wait()


stay = threading.Event()
for _ in range(10): begin(threading.Thread(target=stay.wait))
truth.begin()
for name in NAMES: wait_for(busy, name=name)
wait_for(renamed)
wait_for(busy, kind=WithAttributes, name="with attributes")
truth.burn(thread_name="MainThread")
truth.end()
