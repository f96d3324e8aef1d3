"""ncnn's text file of layers, which says neither shapes nor types."""

from pathlib import Path

from segfast_edge.errors import ArtifactError
from segfast_edge.inspection import ModelFile, Port, counted

MAGIC = "7767517"


def read(path: Path) -> ModelFile:
    """Read the layers; the inputs are layers of their own, and the outputs what no layer reads."""
    magic, _, *lines = path.read_text(encoding="utf-8").splitlines()
    if magic.strip() != MAGIC:
        raise ArtifactError(f"{path} is not an ncnn file: its first line is not {MAGIC}")
    layers = [line.split() for line in lines if line.strip()]
    read_here, made = [], []
    for words in layers:
        inputs, outputs = int(words[2]), int(words[3])
        read_here += words[4 : 4 + inputs]
        made += words[4 + inputs : 4 + inputs + outputs]
    given = [name for words in layers if words[0] == "Input" for name in words[4 : 4 + int(words[3])]]
    return ModelFile(
        tuple(Port(name, ("?",), "?") for name in given),
        tuple(Port(name, ("?",), "?") for name in made if name not in read_here),
        counted(words[0] for words in layers if words[0] not in ("Input", "Split")),
    )
