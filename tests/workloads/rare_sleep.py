"""One thread that leaves its CPU as often as it can, and sleeps for a second once; another one waits all the time.

Argument: seconds of switching before and after the sleep.
"""
import os
import sys
import threading
import time

import truth

SECONDS = float(sys.argv[1])
there, back = os.pipe(), os.pipe()
never = threading.Lock()
switches = 0


def answer():
    """Another process, so that no GIL is in the way."""
    while os.read(there[0], 1):
        os.write(back[1], b"x")


def switch(end):
    global switches
    while time.time() < end:
        for _ in range(100):
            os.write(there[1], b"x")
            os.read(back[0], 1)
        switches += 200


def long_sleep():
    time.sleep(1.0)


def wait_all_the_time():
    never.acquire()


never.acquire()
child = os.fork()
if not child:
    os.close(there[1])
    answer()
    os._exit(0)
os.close(there[0])
waiter = threading.Thread(target=wait_all_the_time)
waiter.daemon = True
waiter.start()
time.sleep(0.1)
truth.begin()
switch(time.time() + SECONDS)
long_sleep()
switch(time.time() + SECONDS)
os.close(there[1])
truth.end(switches=switches)
