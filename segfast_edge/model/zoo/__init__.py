"""One network per file: its docstring's first line describes it, ``build(classes)`` makes it."""
