"""The boards, and the files by which a program on them tells what it runs on. Values stand in; none was measured.

``pc`` is no emulation but this machine's own processor behind the same ssh server, with a file system of its own:
what is measured there is real, and everything that only a real device can show is tried on it.
"""

from dataclasses import dataclass
from pathlib import Path

ARM = 0x41  # the implementer code of Arm's own cores
_BASE = "fp asimd evtstrm"
_ARMV82 = "aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
MARK = "etc/segfast-virtual-board"  # present on a virtual board and nowhere else


@dataclass(frozen=True, slots=True)
class Core:
    """A processor core: the emulator's name for it, and what the kernel reads from its identification register."""

    name: str
    part: int
    variant: int
    revision: int
    features: str

    @property
    def midr(self) -> int:
        """The main identification register."""
        return ARM << 24 | self.variant << 20 | 0xF << 16 | self.part << 4 | self.revision


@dataclass(frozen=True, slots=True)
class Soc:
    """An emulated board's model as the device tree has it, its cores, and the range of their clock in kHz."""

    model: str
    core: Core
    cores: int
    slowest_khz: int
    fastest_khz: int


@dataclass(frozen=True, slots=True)
class VirtualBoard:
    """A board by name; without ``soc`` it is not emulated."""

    name: str
    soc: Soc | None = None

    @property
    def architecture(self) -> str:
        """Debian's name for the processor's architecture."""
        return "arm64" if self.soc else "amd64"


_A57 = Core("cortex-a57", 0xD07, 1, 1, f"{_BASE} aes pmull sha1 sha2 crc32")
_A72 = Core("cortex-a72", 0xD08, 0, 3, f"{_BASE} crc32 cpuid")  # the Pi 4's has no crypto and no dot product
_A76 = Core("cortex-a76", 0xD0B, 4, 1, f"{_BASE} {_ARMV82}")

BOARDS = {
    board.name: board
    for board in (
        VirtualBoard("rpi4", Soc("Raspberry Pi 4 Model B Rev 1.4", _A72, 4, 600_000, 1_500_000)),
        VirtualBoard("rpi5", Soc("Raspberry Pi 5 Model B Rev 1.0", _A76, 4, 1_500_000, 2_400_000)),
        VirtualBoard("rock5", Soc("Radxa ROCK 5B", _A76, 8, 408_000, 2_400_000)),
        VirtualBoard("jetson-nano", Soc("NVIDIA Jetson Nano Developer Kit", _A57, 4, 102_000, 1_479_000)),
        VirtualBoard("pc"),
    )
}


def write_files(board: Soc, root: Path) -> None:
    """Write the board's files below ``root``: ``proc/cpuinfo`` and all of ``sys``."""
    _write(root / "proc/cpuinfo", _cpuinfo(board))
    _write(root / "sys/firmware/devicetree/base/model", board.model.encode() + b"\0")
    system = root / "sys/devices/system/cpu"
    for name in ("possible", "present", "online"):
        _write(system / name, f"0-{board.cores - 1}\n")
    _write(system / "kernel_max", "255\n")
    for index in range(board.cores):
        _write_cpu(board, index, system / f"cpu{index}")
    thermal = root / "sys/class/thermal/thermal_zone0"
    _write(thermal / "type", "cpu-thermal\n")
    _write(thermal / "temp", "48686\n")


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _cpuinfo(board: Soc) -> str:
    core = board.core
    blocks = [
        f"processor\t: {index}\nBogoMIPS\t: 108.00\nFeatures\t: {core.features}\nCPU implementer\t: {ARM:#x}\n"
        f"CPU architecture: 8\nCPU variant\t: {core.variant:#x}\nCPU part\t: {core.part:#x}\n"
        f"CPU revision\t: {core.revision}\n"
        for index in range(board.cores)
    ]
    return "\n".join([*blocks, f"Model\t\t: {board.model}\n" if board.model.startswith("Raspberry") else ""])


def _write_cpu(board: Soc, index: int, folder: Path) -> None:
    everyone, alone = f"0-{board.cores - 1}", str(index)
    facts = {
        "regs/identification/midr_el1": f"{board.core.midr:#018x}",
        "topology/physical_package_id": "0",
        "topology/core_id": alone,
        "topology/core_siblings_list": everyone,
        "topology/cluster_cpus_list": everyone,
        "topology/package_cpus_list": everyone,
        "topology/thread_siblings_list": alone,
        "cpufreq/cpuinfo_min_freq": str(board.slowest_khz),
        "cpufreq/cpuinfo_max_freq": str(board.fastest_khz),
        "cpufreq/scaling_min_freq": str(board.slowest_khz),
        "cpufreq/scaling_max_freq": str(board.fastest_khz),
        "cpufreq/scaling_cur_freq": str(board.fastest_khz),
        "cpufreq/scaling_governor": "ondemand",
    }
    caches = (("1", "Data", "32K", alone), ("1", "Instruction", "48K", alone), ("2", "Unified", "1024K", everyone))
    for number, (level, kind, size, shared) in enumerate(caches):
        place = f"cache/index{number}"
        facts |= {f"{place}/level": level, f"{place}/type": kind, f"{place}/size": size}
        facts |= {f"{place}/shared_cpu_list": shared, f"{place}/coherency_line_size": "64"}
    for name, value in facts.items():
        _write(folder / name, f"{value}\n")
