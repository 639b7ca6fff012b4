# A Cython module between two Python functions, for the tests of merged stacks.

cdef object cy_inner(callable):
    return [callable()]


cdef object cy_outer(callable):
    return [cy_inner(callable)]


def call(callable):
    """Calls what it gets, without arguments."""
    return [cy_outer(callable)]
