"""The descriptor of the engine that fails when it is told to."""

from segfast_edge.contract.engines import Engine

ENGINE = Engine(title="failing on request", layers=False, opens_anything=True)
