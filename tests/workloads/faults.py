"""Functions that touch memory for the first time, each with the kernel's own count of its page faults."""
import mmap
import os
import resource
import tempfile

import truth

PAGE = mmap.PAGESIZE
#: `MAP_POPULATE` (Linux): the kernel maps the pages itself, before anybody touches them.
POPULATE = 0x8000
counts = {}


def taken():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


def count(function, *arguments):
    before = taken()
    result = function(*arguments)
    counts[function.__name__] = taken() - before
    return result


def write_pages(area):
    for offset in range(0, len(area), PAGE):
        area[offset] = 1


def read_pages(area):
    for offset in range(0, len(area), PAGE):
        area[offset]


def fill_list(items):
    return [None] * items


def populate(pages):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | POPULATE
    return mmap.mmap(-1, pages * PAGE, flags)


def cold_file(pages):
    """A file whose pages are not in memory."""
    file = tempfile.TemporaryFile(dir=".")
    file.write(b"x" * (pages * PAGE))
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return file


def anonymous(pages):
    return mmap.mmap(-1, pages * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


# Once before, so that no code of the interpreter is touched for the first time while it counts.
for function, argument in (
    (write_pages, anonymous(1)),
    (read_pages, anonymous(1)),
    (fill_list, 10),
    (populate, 1),
):
    count(function, argument)
file = cold_file(2000)
cold = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
areas = [anonymous(3000)]

truth.begin()
count(write_pages, areas[0])
count(read_pages, cold)
areas.append(count(fill_list, 2000000))
areas.append(count(populate, 1000))
truth.end(faults=counts)
