"""Bundles: device code, artifact with its golden frame, requirements, packages if asked for, unit, licence."""

import importlib.metadata
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from segfast_edge import __version__
from segfast_edge.contract.bundle_listing import BundleListing, release_of
from segfast_edge.contract.formats import format_named
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.deployment.bundle_archive import listed_files, write_archive
from segfast_edge.device.code import device_code, target_names
from segfast_edge.errors import ArtifactError, TargetError, unknown
from segfast_edge.remote.device_packages import requirements
from segfast_edge.remote.wheels import Platform, gather
from segfast_edge.weights import card_of

_ROOT_FILES = Path("targets/install/templates")  # what stands at the top of a bundle: run.py, install, the unit


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """A bundle to write.

    ``packages``: the computer to bring Python packages for, None to leave them out. ``with_torch`` allows an artifact
    that needs torch on the device. Without ``model_card`` an artifact of shipped weights gets theirs, which says under
    what licence they are.
    """

    artifact: Path
    target: str
    output: Path
    model_card: Path | None = None
    packages: Platform | None = None
    with_torch: bool = False

    def __post_init__(self) -> None:
        if self.target not in target_names():
            raise TargetError(unknown("target", self.target, target_names()))
        if not self.output.name.endswith(".tar.gz"):
            raise TargetError(f"a bundle's name ends in .tar.gz; {self.output} does not")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bundle's files in a folder, and their list; to be signed or not, then written."""

    folder: Path
    listing: BundleListing

    @property
    def release(self) -> str:
        """The release's name, 64 hexadecimal digits."""
        return release_of(self.listing.to_bytes())

    def write(self, output: Path, *, signature: bytes | None) -> None:
        """Write the archive."""
        write_archive(output, self.folder, self.listing, signature=signature)


def parse_platform(text: str) -> Platform:
    """Read ``MACHINE-PYTHON-GLIBC``, for example ``aarch64-3.11-2.36``."""
    found = re.fullmatch(r"(x86_64|aarch64)-3\.(\d{1,2})-2\.(\d{1,2})", text)
    if found is None:
        raise TargetError(f"'{text}' is not MACHINE-PYTHON-GLIBC, for example aarch64-3.11-2.36")
    return Platform(found[1], (3, int(found[2])), (2, int(found[3])))


def prepare(request: BundleRequest, folder: Path) -> Prepared:
    """Gather a bundle's files in the empty ``folder``.

    Raises:
        ArtifactError: the artifact is damaged or has no golden frame.
        TargetError: the target does not run its format, it needs torch, or there are no packages for the computer.
    """
    manifest = Manifest.load(request.artifact)
    for name in (GOLDEN_FRAME, GOLDEN_LABELS):
        if name not in manifest.files:
            raise ArtifactError(f"{request.artifact} has no {name}, which the self-test needs. Convert it again")
    described = format_named(manifest.format)
    if described.imports_torch and not request.with_torch:
        raise TargetError(
            f"a {described.title} artifact needs torch on the device. Convert to another format, or allow it with"
            " --with-torch"
        )
    device_code(folder)
    shutil.copytree(folder / _ROOT_FILES, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / _ROOT_FILES)
    _copy_artifact(request.artifact, manifest, folder / "artifact")
    needed = requirements(request.target, manifest.format)
    _write_requirements(folder / "requirements.txt", needed)
    if request.packages is not None:
        packages = gather(needed[0], request.packages)
        shutil.copytree(packages, folder / "site", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "LICENSE").write_text(_licence(), encoding="utf-8")
    card = request.model_card or card_of(str(manifest.provenance.get("checkpoint_sha256")))
    if card is not None:
        try:
            shutil.copyfile(card, folder / "MODEL_CARD.md")
        except OSError as error:
            raise TargetError(f"cannot read model card {card}: {error.strerror or error}") from error
    return Prepared(folder, _listing(request, manifest, folder))


def _copy_artifact(artifact: Path, manifest: Manifest, destination: Path) -> None:
    """Copy what the manifest lists, and it: notes and reports beside them stay at home."""
    for name in ("manifest.json", *manifest.files):
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact / name, destination / name)


def _write_requirements(path: Path, needed: list[list[str]]) -> None:
    first, *others = ["\n".join(choice) for choice in needed]
    text = f"# pip install -r requirements.txt\n{first}\n"
    for other in others:
        text += "# or instead of these:\n" + "".join(f"#   {line}\n" for line in other.splitlines())
    path.write_text(text, encoding="utf-8")


def _licence() -> str:
    """Return this project's licence, from the checkout or from the installed package."""
    beside = Path(__file__).parents[2] / "LICENSE"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    for path in importlib.metadata.files("segfast-edge") or []:
        if path.name == "LICENSE":
            return path.read_text(encoding="utf-8")
    raise TargetError("the licence is missing beside segfast-edge; install it again")


def _listing(request: BundleRequest, manifest: Manifest, folder: Path) -> BundleListing:
    packages = {}
    if request.packages is not None:
        where = request.packages
        packages = {
            "machine": where.machine,
            "python": ".".join(map(str, where.python)),
            "glibc": ".".join(map(str, where.glibc)),
        }
    return BundleListing(
        name=request.artifact.resolve().name,
        target=request.target,
        format=manifest.format,
        version=__version__,
        files=listed_files(folder),
        packages=packages,
    )


def build(request: BundleRequest, key: Path | None) -> tuple[Prepared, str | None]:
    """Write a bundle, signed with ``key``, or unsigned if it is None; return what it holds and the public key."""
    with tempfile.TemporaryDirectory(prefix="segfast-bundle-") as name:
        prepared = prepare(request, Path(name))
        signature, public = None, None
        if key is not None:
            from segfast_edge.deployment.signing import read_key, sign  # an unsigned bundle needs no cryptography

            signature, public = sign(prepared.listing.to_bytes(), read_key(key))
        prepared.write(request.output, signature=signature)
    return prepared, public
