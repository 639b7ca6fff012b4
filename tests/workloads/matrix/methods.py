"""Functions of every kind that a class can hold, called by each other."""
import truth


class Outer(object):
    class Inner(object):
        def method(self):
            def closure():
                return self.captured()
            return closure()

        def captured(self):
            return (lambda: Outer.static(self))()

    @staticmethod
    def static(inner):
        return Outer.constructor(inner)

    @classmethod
    def constructor(cls, inner):
        return cls().attribute

    @property
    def attribute(self):
        truth.burn()


truth.begin()
Outer.Inner().method()
truth.end(qualified=[name for name, _, _ in truth.BURNS[0]["stack"] if "." in name])
