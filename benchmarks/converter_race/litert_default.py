"""litert-torch by its defaults, in an interpreter of its own.

python -m benchmarks.converter_race.litert_default CHECKPOINT OUT.tflite LOWERING
"""

import sys
import warnings
from pathlib import Path

from benchmarks.converter_race.defaults import untouched
from segfast_edge.export.common.lowerings import lower
from segfast_edge.model.checkpoint import Checkpoint


def main() -> None:
    """Convert."""
    warnings.simplefilter("ignore")  # its packages warn of each other
    import litert_torch

    checkpoint, out, lowering = sys.argv[1:]
    graph = untouched(Checkpoint.load(Path(checkpoint)))
    graph.network = lower(graph.network, lowering)
    litert_torch.convert(graph, (graph.example(),)).export(out)


if __name__ == "__main__":
    main()
