"""Objects being made and freed: `__new__`, `__init__`, `__del__`. The call is made often, so that it is specialised."""
import truth


class Base(object):
    def __init__(self, burning):
        if burning: truth.burn()


class Child(Base):
    def __new__(cls, burning):
        if burning == 2: truth.burn()
        return super(Child, cls).__new__(cls)

    def __init__(self, burning, clock=truth.clock):
        Base.__init__(self, burning)
        if burning:
            burn = truth.Burn(2)
            end = burn.end
            while clock() < end: pass
            burn.done()


class Mortal(object):
    def __init__(self, burning):
        self.burning = burning

    def __del__(self):
        if self.burning: truth.burn()


def make(kind, burning):
    kind(burning)


truth.begin()
for kind in (Base, Child, Mortal):
    for n in range(200): make(kind, 0)
    make(kind, 1)
make(Child, 2)
truth.end()
