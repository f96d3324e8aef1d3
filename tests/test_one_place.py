"""What a descriptor says is said nowhere else, or is the same there."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from segfast_edge.cli import main
from segfast_edge.contract.engines import BASE, engine_named, engine_names
from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.export.common.converter_packages import distribution
from targets.common.target import target, targets
from targets.runner.inputs import video

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NAMES = sorted({*format_names(), *engine_names()})

# where a format or an engine is named outside its own files, and why
ALLOWED = {
    ("segfast_edge/cli/convert.py", "openvino"): "an example is a command that somebody can type",
    ("segfast_edge/demo.py", "openvino"): "a command to try next, as above",
    ("segfast_edge/export/onnx.py", "tensorrt"): "ONNX in int8 has a form of its own for TensorRT",
    ("tools/soak/__main__.py", "null"): "the engine that the soak runs without a real artifact",
    ("tools/virtual_car/__main__.py", "null"): "as in the soak",
    ("tools/virtual_board/build.py", "onnxruntime"): "a package on a board, not the engine",
    ("tools/virtual_board/namespace.py", "null"): "/dev/null",
}


def _own(path: Path, name: str) -> bool:
    """Say whether a file is one of a format's or engine's own: it or a folder above is named so, or begins so."""
    stems = [part.lstrip("_").partition(".")[0] for part in path.parts]
    return any(stem == name or stem.startswith(f"{name}_") for stem in stems)


def _literals(path: Path) -> set[str]:
    """Return the names that a file has as a text of its own, or after ``--target``, ``--format`` or ``--engine``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    texts = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    option = re.compile(rf"--(?:target|format|engine) ({'|'.join(NAMES)})\b")
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            found |= {node.value} & {*NAMES} | {*option.findall(node.value)}
    return found


def _named_elsewhere(root: Path) -> set[tuple[str, str]]:
    """Return file and name wherever a format or an engine is named in a file of another; formats name their engines."""
    files = [
        path.relative_to(root)
        for folder in ("segfast_edge", "targets", "tools")
        for path in (root / folder).rglob("*.py")
    ]
    others = [path for path in files if path.parts[:3] != ("segfast_edge", "contract", "formats")]
    return {(path.as_posix(), name) for path in others for name in _literals(root / path) if not _own(path, name)}


def test_no_format_and_no_engine_is_named_outside_its_own_files():
    found = _named_elsewhere(ROOT)
    assert found - {*ALLOWED} == set(), "take the name from contract/formats or contract/engines"
    assert {*ALLOWED} - found == set(), "these exceptions are needed no more"


@pytest.mark.parametrize("line", ['NAME = "onnx"', 'raise ValueError("Try --target tflite")', 'f"--engine litert {1}"'])
def test_a_name_that_is_written_elsewhere_is_found(line, tmp_path):
    path = tmp_path / "targets/elsewhere.py"
    path.parent.mkdir()
    path.write_text(f'"""onnx and --target tflite in a docstring are words."""\n\n{line}\n')
    assert [name for name, _ in _named_elsewhere(tmp_path)] == ["targets/elsewhere.py"]


def test_descriptors_need_nothing_but_the_standard_library():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from segfast_edge.contract.formats import format_names, format_named\n"
        "from segfast_edge.contract.engines import engine_names, engine_named\n"
        "from targets.common.descriptor import target, targets\n"
        "for name in format_names(): format_named(name)\n"
        "for name in engine_names(): engine_named(name)\n"
        "for name in targets(): target(name).to_json()\n"
        "import segfast_edge.cli.convert, argparse\n"
        "segfast_edge.cli.convert.arguments(argparse.ArgumentParser())\n"
    )
    # without the site packages there is no numpy and no runtime to import
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", format_names())
def test_a_formats_extra_brings_its_converter_and_the_engine_that_runs_it_here(name):
    described = format_named(name)
    packages = next(engine_named(each).packages[0] for each in described.engines if engine_named(each).packages)
    named = {distribution(each) for each in described.converter}
    wanted = {*described.converter, *(each for each in packages if distribution(each) not in named)}
    extra = EXTRAS[described.extra]
    if described.imports_torch:  # what training needs, which takes a newer torch than running does
        assert {distribution(each) for each in wanted} <= {distribution(each) for each in extra}
    else:
        assert {*extra} == wanted
    assert {*described.integer_converter} <= {*EXTRAS["int8"]}
    assert described.extra in re.findall(r"[\w-]+", EXTRAS["all"][0])
    assert all(each in EXTRAS for each in described.other_converters)


def test_what_a_device_needs_besides_an_engine_is_what_the_toolkit_depends_on():
    assert {*BASE} <= {*PROJECT["dependencies"]}
    assert video.PACKAGE in {distribution(each) for each in EXTRAS["camera"]}


def test_a_form_of_int8_is_for_an_engine_that_opens_the_format():
    for name in format_names():
        assert {*format_named(name).integer_engines} <= {*format_named(name).engines}


@pytest.mark.parametrize("name", format_names())
def test_the_command_line_and_the_list_of_formats_name_every_format(name, capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert name in capsys.readouterr().out
    assert main(["formats"]) == 0
    shown = capsys.readouterr().out
    assert name in shown
    assert all(each in shown for each in (*format_named(name).engines, format_named(name).model_file))


def test_the_page_on_jetsons_names_the_engines_that_serve_one_in_their_order():
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \|", (ROOT / "docs/jetson.md").read_text(), re.M)
    assert rows
    for model_format in dict.fromkeys(name for name, _ in rows):
        assert [engine for name, engine in rows if name == model_format] == [*target("jetson").engines(model_format)]


@pytest.mark.parametrize("name", targets())
def test_every_target_says_what_to_install_for_each_format_that_it_runs(name):
    for model_format in target(name).formats():
        for choice in target(name).requirements(model_format):
            assert {*BASE} <= {*choice}
            assert all(re.fullmatch(r"[A-Za-z0-9._-]+[<>=!0-9.,]*", each) for each in choice)
