"""A session of a model made for another pipeline: frames are brought into its form, and its logits into ours."""

from collections.abc import Mapping
from typing import Any

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.layouts import channels_last, fed
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError
from targets.common.session import Session


class AdaptedSession:
    """A session that takes uint8 N x H x W x 3 and gives labels, or logits N x H x W x classes, whatever its model."""

    def __init__(self, session: Session, manifest: Manifest) -> None:
        self._session, self._manifest = session, manifest

    def run(self, batch: Frame) -> RawOutput:
        """Run one batch."""
        promised = self._manifest.output
        raw = self._session.run(fed(batch, self._manifest.input))
        if raw.shape != promised.shape:
            raise TargetError(f"the model gave {raw.dtype} {raw.shape}; the manifest says {promised.shape}")
        return channels_last(raw, promised)

    def facts(self) -> Mapping[str, Any]:
        """Return what the session underneath says."""
        return self._session.facts()

    @property
    def gpu_ms(self) -> float | None:
        """What the last run took on a GPU, if the session knows."""
        return getattr(self._session, "gpu_ms", None)


def adapted(session: Session, manifest: Manifest, engine: str) -> Session:
    """Return the session itself where its model is made for our runner."""
    plain = manifest.input.layout == "NHWC" and manifest.input.dtype == "uint8" and manifest.output.layout != "NCHW"
    return session if plain or engine_named(engine).opens_anything else AdaptedSession(session, manifest)
