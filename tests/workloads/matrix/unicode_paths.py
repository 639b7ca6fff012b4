# -*- coding: utf-8 -*-
"""File names of one, two and four bytes per character."""
import truth

truth.begin()
for name in ("/made/façade.py", "/made/漢字.py", "/made/💩/漢é.py"):
    exec(compile("def made():\n    truth.burn()\n\n\nmade()\n", name, "exec"), {"truth": truth})
truth.end()
