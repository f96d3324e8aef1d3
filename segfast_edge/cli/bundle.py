"""segfast-edge bundle: an artifact with everything that a device needs to run it."""

import argparse
import json
from pathlib import Path

from segfast_edge.cli._output import output_option
from segfast_edge.errors import TargetError

HELP = "pack an artifact, the device code and a systemd unit into one signed, reproducible file"
EXAMPLE = (
    "segfast-edge bundle --new-key car.key\n"
    "  segfast-edge bundle artifacts/segfast-tflite --target rpi --key car.key -o car.tar.gz"
)
NEEDS = {"signing": ("cryptography",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("artifact", nargs="?", type=Path, metavar="ARTIFACT", help="artifact folder to pack")
    parser.add_argument("--target", default="x86", help="kind of computer (default %(default)s)")
    output_option(parser, "FILE", "file to write (default: ARTIFACT-TARGET.tar.gz)")
    signing = parser.add_mutually_exclusive_group()
    signing.add_argument("--key", type=Path, metavar="FILE", help="sign with this private key")
    signing.add_argument("--unsigned", action="store_true", help="do not sign: devices then need --unsigned, too")
    signing.add_argument("--new-key", type=Path, metavar="FILE", help="make a key pair, FILE and FILE.pub")
    wheels = "bring Python packages along, for a device without internet (by default the target's usual system)"
    parser.add_argument("--wheels", nargs="?", const="", metavar="MACHINE-PYTHON-GLIBC", help=wheels)
    parser.add_argument(
        "--model-card",
        type=Path,
        metavar="FILE",
        help="model card to include (default: the one of shipped weights)",
    )
    parser.add_argument("--with-torch", action="store_true", help="allow an artifact that needs torch on the device")
    parser.add_argument("--json", action="store_true", help="print a description of the bundle as JSON")


def run(args: argparse.Namespace) -> int:
    """Make a bundle or a key pair."""
    if args.new_key is not None:
        return _new_key(args.new_key)
    if args.artifact is None:
        raise TargetError("name an artifact to bundle, or make a key pair with --new-key FILE")
    if args.key is None and not args.unsigned:
        raise TargetError("sign with --key FILE (make one: segfast-edge bundle --new-key car.key), or pass --unsigned")
    from segfast_edge.deployment.bundle import BundleRequest, build, parse_platform
    from segfast_edge.remote.device_packages import usual_platform

    packages = None
    if args.wheels is not None:
        packages = parse_platform(args.wheels) if args.wheels else usual_platform(args.target)
    output = args.output or Path(f"{args.artifact.resolve().name}-{args.target}.tar.gz")
    request = BundleRequest(args.artifact, args.target, output, args.model_card, packages, args.with_torch)
    _need_cryptography(args.key)
    made, public = build(request, args.key)
    listing, size = made.listing, output.stat().st_size
    if args.json:
        about = {"bundle": str(output), "release": made.release, "target": listing.target, "format": listing.format}
        print(json.dumps({**about, "signed_by": public, "files": len(listing.files), "bytes": size}))
    else:
        signed = f"signed by {public[:16]}" if public else "unsigned"
        print(f"{output}: release {made.release[:16]} for {listing.target}, {listing.format}, {signed},", end=" ")
        print(f"{len(listing.files)} files, {size / 1e6:.1f} MB")
    return 0


def _new_key(path: Path) -> int:
    _need_cryptography(path)
    from segfast_edge.deployment.signing import new_key

    public = new_key(path)
    print(f"{path}: keep it secret; whoever has it can sign for your cars")
    print(f"{public}: give it to a device with the first installation, --trust {public}")
    return 0


def _need_cryptography(key: Path | None) -> None:
    if key is None:
        return
    try:
        import cryptography  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise TargetError("cryptography is missing. Run: pip install 'segfast-edge[sign]'") from error
