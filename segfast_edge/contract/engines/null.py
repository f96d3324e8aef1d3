"""No runtime at all: labels computed from the pixels, for tests."""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(title="no runtime", layers=False, opens_anything=True)
