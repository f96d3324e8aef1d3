"""How a graph takes its picture and gives its logits: for our own runner, or as somebody else's pipeline has them."""

from dataclasses import dataclass
from typing import Literal

from segfast_edge.errors import ConversionError

Layout = Literal["NHWC", "NCHW"]


@dataclass(frozen=True, slots=True)
class Ends:
    """Layout and type of the picture (float32 is from 0 to 255 too), and layout of logits; labels have no channels."""

    input_layout: Layout = "NHWC"
    input_type: str = "uint8"
    output_layout: Layout = "NHWC"

    @property
    def are_plain(self) -> bool:
        """Whether they are those that every format and precision has."""
        return self == PLAIN

    def input_shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Return the picture's shape."""
        return (1, 3, *size) if self.input_layout == "NCHW" else (1, *size, 3)

    def refuse_unless_plain(self, what: str) -> None:
        """Raise ConversionError for what can only be written with plain ends."""
        if not self.are_plain:
            raise ConversionError(
                f"{what} has uint8 NHWC in and NHWC out; leave --input-layout, --input-type and --output-layout out"
            )


PLAIN = Ends()
