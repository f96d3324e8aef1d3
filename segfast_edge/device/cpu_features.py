"""The instructions of this computer's processor that speed networks up, as Linux reports them."""

from pathlib import Path

# as /proc/cpuinfo spells them: x86 in "flags", ARM in "Features"
FEATURES = {
    "x86_64": {
        "avx2": "256-bit vectors",
        "fma": "multiply and add in one",
        "avx512f": "512-bit vectors",
        "avx_vnni": "int8 products, 256 bits at a time",
        "avx512_vnni": "int8 products, 512 bits at a time",
        "avx512_bf16": "bfloat16 products",
        "amx_int8": "int8 matrices",
        "amx_bf16": "bfloat16 matrices",
    },
    "aarch64": {
        "asimd": "128-bit vectors",
        "asimddp": "int8 products",
        "i8mm": "int8 matrices",
        "asimdhp": "float16 arithmetic",
        "bf16": "bfloat16 products",
        "sve": "scalable vectors",
    },
}


def cpu_features(machine: str, root: Path = Path("/")) -> dict[str, bool]:
    """Return, for each instruction set that matters on ``machine`` (as ``uname -m`` says it), whether it is here.

    Empty for a processor that nothing is known about, or without ``/proc/cpuinfo``.
    """
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.splitlines())
    present = {word for key, _, words in lines if key.strip() in ("flags", "Features") for word in words.split()}
    return {name: name in present for name in FEATURES.get(machine, {})} if present else {}


def cpu_model(root: Path = Path("/")) -> str:
    """Return the processor's name, empty if the system does not report it."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    named = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in named if key.strip() in ("model name", "Model")), "")
