"""Code of classes being made: bodies, metaclasses, and the hooks of 3.6."""
import truth


class Meta(type):
    def __new__(meta, name, bases, names):
        truth.burn()
        return type.__new__(meta, name, bases, names)

    def __call__(cls, *arguments):
        return super(Meta, cls).__call__(*arguments)


class Hooked(object):
    def __init_subclass__(cls):
        truth.burn()


class Named(object):
    def __set_name__(self, owner, name):
        truth.burn()


truth.begin()


class Outer(object):
    class Inner(object):
        burn, clock = truth.Burn(2), truth.clock
        end = burn.end
        while clock() < end: pass
        burn.done()


Made = Meta("Made", (object,), {"__init__": lambda self: truth.burn()})
Made()
type("Child", (Hooked,), {})


class Owner(object):
    named = Named()


truth.end()
