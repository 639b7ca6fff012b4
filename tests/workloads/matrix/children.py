"""Children of os.fork and of multiprocessing, which burn CPU in functions of their own while their parent waits."""
import multiprocessing
import os
import time

import truth


def leaf(name):
    del truth.BURNS[:]
    truth.burn()
    truth.say(**{"burns-" + name: truth.BURNS})
    # Before 3.11 the class that defines a method is looked up while the process lives.
    time.sleep(0.5)


def forked():
    if os.fork() == 0:
        leaf("fork")
        os._exit(0)
    os.wait()


def processed():
    child = context.Process(target=leaf, args=("process",))
    child.start()
    child.join()


context = multiprocessing.get_context("fork") if hasattr(multiprocessing, "get_context") else multiprocessing
truth.begin()
forked()
processed()
truth.end()
