"""What ``doctor`` finds, held to what numpy asks of the processor and to packages absent or broken on purpose."""

import json
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest

from segfast_edge.cli import main, needs_of, verbs
from segfast_edge.contract.engines import engine_named, engine_names
from segfast_edge.device.cpu_features import cpu_features, cpu_model

RUNTIMES = {module.partition(".")[0] for name in engine_names() for module in engine_named(name).modules}

# refuses the import as an environment without torch, matplotlib and any runtime does
ABSENT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted({"torch", "matplotlib", *RUNTIMES})}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])

sys.meta_path.insert(0, Absent())
from segfast_edge.cli import main
sys.exit(main())
"""


def test_what_is_absent_is_named_with_the_verbs_that_lack_it_and_one_command():
    done = subprocess.run([sys.executable, "-c", ABSENT, "doctor", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["engines"] == []
    assert found["verbs"]["train"] == [
        {"for": "training", "missing": ["torch", "matplotlib"], "commands": ["pip install 'segfast-edge[train]'"]}
    ]
    artifacts, checkpoints = found["verbs"]["predict"]
    assert (artifacts["for"], artifacts["missing"]) == ("artifacts", ["an engine"])
    assert re.fullmatch(r"pip install '[\w-]+[>=.0-9]*'", *artifacts["commands"])
    assert checkpoints["missing"] == ["torch"]
    assert found["verbs"]["compare"] == []
    assert {*found["verbs"]} == {*verbs()}
    assert {"numpy", "PIL"} <= {*found["packages"]}
    assert "torch" not in found["packages"]


def test_a_package_that_is_installed_and_broken_is_lacking_and_its_reason_is_given(tmp_path):
    for name, text in {
        "cryptography": "raise ImportError('libssl.so.9: cannot open shared object file')",
        "torch": "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    command = [sys.executable, "-m", "segfast_edge", "doctor", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "libssl.so.9" in found["packages"]["cryptography"]["problem"]
    assert "SIGILL: this CPU lacks an instruction" in found["packages"]["torch"]["problem"]
    assert found["verbs"]["bundle"][0]["missing"] == ["cryptography"]
    assert found["verbs"]["summary"][0]["missing"] == ["torch"]


def test_the_table_names_every_verb(capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^│ {verb} ", shown, re.M) for verb in verbs())
    assert f"Python {platform.python_version()}" in shown


def test_what_a_verb_needs_is_a_module_and_brought_by_an_extra_or_an_engine():
    needed = {module for verb in verbs() for modules in needs_of(verb).values() for module in modules}
    assert {"torch", "an engine"} <= needed
    for module in needed - {"an engine"}:
        assert re.fullmatch(r"[a-z_0-9]+", module)


@pytest.mark.skipif(platform.system() != "Linux", reason="reads what Linux tells of the processor")
def test_the_processor_has_what_numpy_finds_by_asking_it():
    names = {
        "x86_64": {"avx2": "AVX2", "fma": "FMA3", "avx512f": "AVX512F"},
        "aarch64": {"asimd": "ASIMD", "asimddp": "ASIMDDP", "asimdhp": "ASIMDHP"},
    }[platform.machine()]
    asked = np._core._multiarray_umath.__cpu_features__
    found = cpu_features(platform.machine())
    assert {ours: found[ours] for ours in names} == {ours: asked[theirs] for ours, theirs in names.items()}


def test_an_arm_processor_is_read_as_linux_writes_it(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 atomics fphp asimdhp cpuid asimddp\n"
        "CPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
    )
    found = cpu_features("aarch64", tmp_path)
    assert {name for name, here in found.items() if here} == {"asimd", "asimdhp", "asimddp"}
    assert found["i8mm"] is False
    assert cpu_model(tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"
    assert cpu_features("aarch64", tmp_path / "nowhere") == {}
    assert cpu_features("riscv64", tmp_path) == {}
