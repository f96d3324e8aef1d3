"""segfast-edge: semantic segmentation from training to a cheap computer in a car.

import segfast_edge as sf

result = sf.load("camvid-standard-segfast").predict("street.jpg")
result.save("predicted")
"""

import importlib

__version__ = "0.1.0"
DEVICE_PYTHON = (3, 10)  # the oldest that the device side runs on: JetPack 6's

# imported when they are asked for: importing the package costs milliseconds, and the device side has none of them
_API = (
    "Artifact",
    "Model",
    "Result",
    "SegfastError",
    "benchmark",
    "bundle",
    "convert",
    "evaluate",
    "load",
    "profile",
    "train",
)


def __getattr__(name: str) -> object:
    if name not in _API:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found: object = getattr(importlib.import_module(f"{__name__}.api"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
