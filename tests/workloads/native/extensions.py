"""A module by Cython, one by pybind11 and one of C++ with inlined functions. Arguments: CPU seconds, modules."""
import importlib
import sys

import nest
import truth

from expected import LEAF, burn, end, warm_up

VIA = {
    ("by_cynest", "work"): ["cy_outer", "cy_inner"],
    ("by_pbnest", "work"): ["pb_outer", "pb_inner"],
}


def work():
    burn(nest.burn, LEAF, VIA)


def by_cynest(module):
    module.call(work)


def by_pbnest(module):
    module.call(work)


def by_inlines(module):
    burn(module.burn, ["total", "area_of", "area"], VIA)


def everything():
    for name, module in zip(NAMES, MODULES):
        globals()["by_" + name](module)


NAMES = sys.argv[2:]
MODULES = [importlib.import_module(name) for name in NAMES]
truth.begin()
warm_up(everything)
everything()
end()
