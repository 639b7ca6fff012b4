"""Games with the name under which a recording is to be written, in a folder where everybody may make files. Arguments: which
game, and the name."""
import os
import sys
import time

import attack

what, name = sys.argv[1:]


def make(path):
    if what == "link":
        os.symlink(os.path.abspath("of-root"), path)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        os.mkdir(path)
    elif what == "file":
        open(path, "w").close()


def remove(path):
    try:
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except OSError:
        pass


attack.ready()
attack.wait_for_go()
end = time.monotonic() + 30
number = 0
while time.monotonic() < end:
    for path in (name, name + ".partial", "." + name + ".partial"):
        try:
            make(path)
        except OSError:
            pass
    time.sleep(0.001)
    number += 1
    if number % 50:
        for path in (name, name + ".partial", "." + name + ".partial"):
            remove(path)
attack.for_ever()
