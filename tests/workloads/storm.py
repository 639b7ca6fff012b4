"""Processes that end at once, one after another. Arguments: how many by fork, by exec of a shell, by exec of Python."""
import os
import sys

import truth

forks, shells, pythons = map(int, sys.argv[1:])


def spawned(path, *arguments):
    os.waitpid(os.posix_spawn(path, [path, *arguments], os.environ), 0)


def forked():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def storm():
    for _ in range(forks):
        forked()
    for _ in range(shells):
        spawned("/bin/sh", "-c", ":")
    for _ in range(pythons):
        spawned(sys.executable, "-S", "-E", "-c", "pass")


truth.begin()
storm()
truth.end()
