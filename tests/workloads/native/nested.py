"""C and Python call each other at several levels; C burns at every one."""
import nest
import truth

from expected import CALL, LEAF, burn, end, warm_up

VIA = {
    ("one", "two"): CALL,
    ("plain", "three"): CALL,
    ("down", "<lambda>"): CALL,
}


def one():
    burn(nest.burn, LEAF, VIA)
    nest.call(two)
    burn(nest.burn, LEAF, VIA)


def two():
    burn(nest.burn, LEAF, VIA)
    plain()


def plain():
    nest.call(three)


def three():
    burn(nest.burn, LEAF, VIA)


def down(depth):
    if depth:
        nest.call(lambda: down(depth - 1))
    else:
        burn(nest.burn, LEAF, VIA)


def everything():
    one()
    down(20)


truth.begin()
warm_up(everything)
everything()
end()
