"""One module per dataset, found by listing this folder.

Each has ``OPTIONS``, the names of its own options, and ``source(root, options) -> Source``; one on disk has ``LAYOUT``.
"""
