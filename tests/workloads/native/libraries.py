"""Work inside of libraries: zlib, and with numpy (an argument) a product of matrices on all CPUs and a ufunc made of Python."""
import os
import sys
import time
import zlib

import nest
import truth

from expected import LEAF, burn, end, warm_up


def by_zlib(data):
    burn(zlib.compress, [], on_top="zlib|libz|deflate", arguments=(data, 9))


def work(x):
    burn(nest.burn, LEAF)
    return x


def by_ufunc(numpy):
    numpy.frompyfunc(work, 1, 1)(numpy.zeros(1))


def by_product(matrix):
    # The assembler of OpenBLAS before 0.3.18 has no unwind information for some processors.
    burn(matrix.dot, [], on_top="numpy|blas|gemm", may_lack="no unwind rule", arguments=(matrix,))


def everything():
    by_zlib(data)
    if numpy:
        by_ufunc(numpy)
        by_product(matrix)
    work(None)


def many_products():
    everything()
    end = time.time() + 3
    while numpy and time.time() < end:  # each is a few samples only
        by_product(matrix)


numpy = __import__("numpy") if sys.argv[2:] else None
matrix = numpy.ones((1200, 1200)) if numpy else None
data = os.urandom(1 << 16) * 128
truth.begin()
warm_up(many_products)
everything()
end()
