"""Who else gets the records of ``metrics.jsonl``: TensorBoard, and loggers of the user's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from segfast_edge.errors import SegfastError
from segfast_edge.own_code import own_function


class Logger(Protocol):
    """Gets each complete epoch's record, and is closed at the end."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one epoch's record."""

    def close(self) -> None:
        """Flush and close."""


def own_logger(name: str, folder: Path, config: Mapping[str, Any], epoch: int) -> Logger:
    """Make the user's ``package.module:factory``; ``epoch`` epochs are complete, and written by an earlier process.

    Raises:
        SegfastError: no such factory, or what it gives is not a logger.
    """
    logger: Logger = own_function("logger", name, "factory(folder, config, epoch)")(folder, config, epoch)
    if not (callable(getattr(logger, "write", None)) and callable(getattr(logger, "close", None))):
        raise SegfastError(f"logger '{name}' gave a {type(logger).__name__}; expected write(record) and close()")
    return logger


class EventLog:
    """Writes into ``folder``; events of epochs after ``epoch`` that an earlier process wrote are hidden.

    Raises:
        SegfastError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # an extra that only --tensorboard needs
        except ImportError as error:
            raise SegfastError("TensorBoard is missing. Run: pip install 'segfast-edge[tensorboard]'") from error
        self._writer = SummaryWriter(str(folder), purge_step=epoch + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one epoch's record."""
        figures = {"loss/train": record["loss"], "lr": record["lr"], "images_per_s": record["images_per_s"]}
        if (val := record["val"]) is not None:
            figures |= {"val/miou": val["miou"], "val/pixel_accuracy": val["pixel_accuracy"]}
            figures |= {f"iou/{name}": value for name, value in val["iou"].items()}
        for name, value in figures.items():
            if value is not None:
                self._writer.add_scalar(name, value, record["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
