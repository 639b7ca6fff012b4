"""Special methods that the interpreter calls: attributes, items, operators, iteration, comparison."""
import truth


class Anything(object):
    def __getattr__(self, name): truth.burn()
    def __getitem__(self, index): truth.burn()
    def __setitem__(self, index, value): truth.burn()
    def __add__(self, other): truth.burn()
    def __contains__(self, item): truth.burn()
    def __call__(self): truth.burn()
    def __hash__(self): return truth.burn() or 1
    def __lt__(self, other): truth.burn()
    def __iter__(self):
        truth.burn()
        return iter(())
    def __len__(self): return truth.burn() or 1
    def __repr__(self): return truth.burn() or "x"


thing = Anything()
truth.begin()
thing.missing
thing[1]
thing[1] = 2
thing + 1
1 in thing
thing()
{thing: 1}
thing < thing
[
    x for x in
    thing]
bool(thing)
"%r" % thing
truth.end()
