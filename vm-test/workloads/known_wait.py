"""Sleeps in `inner`, called by `middle`, called by `outer`, while another thread waits in `wait_throughout` all the time."""

import sys
import threading
import time


def inner():
    while True:
        time.sleep(0.05)


def middle():
    inner()


def outer():
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    middle()


def wait_throughout():
    never.acquire()


never = threading.Lock()
never.acquire()
waiter = threading.Thread(target=wait_throughout)
waiter.daemon = True
waiter.start()
time.sleep(0.2)
outer()
