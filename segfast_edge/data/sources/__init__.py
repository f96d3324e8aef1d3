"""One module per dataset, found by listing this folder; each has ``source(root, options) -> Source``."""
