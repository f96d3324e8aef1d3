"""A model opened and proven on its golden frame before it may answer for anything."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.contract.masks import labels_of
from segfast_edge.contract.shared.images import Frame, Labels, read_frame, read_labels
from segfast_edge.errors import ArtifactError
from targets.common.session import CheckedSession, Options
from targets.common.target import Target, open_artifact

# Float kernels of another processor may round a tie the other way at a boundary; a wrong model differs in far more
GOLDEN_AGREEMENT = 0.999
HALF_GOLDEN_AGREEMENT = (
    0.99  # a float16 file is computed in float32 where it is written, and in float16 on some devices
)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The artifact to open, and its options."""

    target: Target
    artifact: Path
    options: Options
    engine: str | None = None
    self_test: bool = True


@dataclass(frozen=True, slots=True)
class Model:
    """An open session with where it came from; ``golden`` is the self-test's agreement, None if it was left out."""

    choice: ModelChoice
    session: CheckedSession
    golden: float | None

    @property
    def manifest(self) -> Manifest:
        """The artifact's manifest, checked."""
        return self.session.manifest

    def labels(self, batch: Frame) -> Labels:
        """Run uint8 [1, H, W, 3] and return uint8 [H, W]; TargetError for a label that no class has."""
        return labels_of(self.session.run(batch), self.manifest)


def open_model(choice: ModelChoice) -> Model:
    """Open an artifact, check every file against its checksum, and run the golden frame.

    Raises:
        ArtifactError: missing, damaged, or its labels on the golden frame are not those it was exported with.
        TargetError: the runtime is missing or refuses it.
    """
    session = open_artifact(choice.target, choice.artifact, choice.options, choice.engine)
    if not choice.self_test:
        return Model(choice, session, None)
    agreement = golden_agreement(session, choice.artifact)
    needed = HALF_GOLDEN_AGREEMENT if session.manifest.precision == "float16" else GOLDEN_AGREEMENT
    if agreement < needed:
        raise ArtifactError(
            f"{choice.artifact} fails its self-test: {agreement:.2%} of the golden labels agree;"
            f" at least {needed:.1%} must"
        )
    return Model(choice, session, agreement)


def golden_agreement(session: CheckedSession, artifact: Path) -> float:
    """Return the share of golden labels that this session computes here.

    Raises:
        ArtifactError: the artifact has no golden frame.
    """
    manifest = session.manifest
    missing = [name for name in (GOLDEN_FRAME, GOLDEN_LABELS) if name not in manifest.files]
    if missing:
        raise ArtifactError(f"{artifact} has no {missing[0]}, which the self-test needs. Convert it again")
    batch = manifest.preprocess.image(read_frame(artifact / GOLDEN_FRAME))[np.newaxis]
    expected = read_labels(artifact / GOLDEN_LABELS)
    labels = labels_of(session.run(batch), manifest)
    if expected.shape != labels.shape:
        raise ArtifactError(f"{artifact} has golden labels of {expected.shape}; the network gives {labels.shape}")
    return float(np.mean(labels == expected))
