import subprocess
import sys
import time
from pathlib import Path

import pytest

from segfast_edge.cli import _parser, main, verbs


def run(*words):
    return subprocess.run([sys.executable, "-m", "segfast_edge", *words], capture_output=True, text=True)


def test_a_mistyped_verb_gets_the_nearest_one_in_one_line(capsys):
    assert main(["convrt"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Did you mean 'convert'?" in captured.err


def test_without_a_verb_the_overview_lists_every_verb(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name}" in text for name in verbs())


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"segfast-edge {verb}" in capsys.readouterr().out.split("example:")[1]


@pytest.mark.parametrize("verb", verbs())
def test_an_unknown_option_is_one_line_and_exit_2(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--no-such-option"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from segfast_edge.cli import main; main([]);"
        "heavy = {'torch', 'numpy', 'PIL', 'rich', 'matplotlib', 'openvino', 'onnx'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_is_one_line_that_names_its_extra():
    code = (
        "import sys; sys.modules['torch'] = None; from segfast_edge.cli import main;"
        "sys.exit(main(['summary', 'segfast']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "segfast-edge: torch is missing. Run: pip install 'segfast-edge[train]'\n"


def test_the_module_runs_as_a_command():
    start = time.perf_counter()
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("segfast-edge ")
    assert time.perf_counter() - start < 60  # a hang, not a speed, is what this catches


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["predict", "a.png", "--over"], "--overwrite"),
        (["predict", "a.png", "--opactiy=0.3"], "--opacity"),
        (["convert", "a.pt", "--targt", "x"], "--target"),  # named before the option that is now missing
        (["data", "check", "scenes", "--data-rot", "x"], "--data-root"),
    ],
)
def test_an_abbreviated_or_mistyped_option_is_refused_and_the_nearest_named(words, meant, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"Did you mean '{meant}'?" in error


def test_a_value_after_two_dashes_is_not_an_option(capsys):
    assert main(["predict", "--model", "nowhere.pt", "--", "--overwrit"]) == 2
    assert "nowhere.pt" in capsys.readouterr().err


def test_no_parser_of_ours_takes_abbreviations():
    root = Path(__file__).resolve().parent.parent
    for folder in ("segfast_edge", "targets", "tools", "benchmarks"):
        for path in (root / folder).rglob("*.py"):
            if path.name != "arguments.py":
                assert "ArgumentParser(" not in path.read_text(encoding="utf-8"), f"{path}: use ExactParser"


@pytest.mark.parametrize("verb", verbs())
def test_what_a_command_writes_goes_to_out_and_old_names_still_mean_it(verb):
    parsers = [_parser(verb)]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action.choices, dict):
                parsers += action.choices.values()
            names = set(action.option_strings)
            assert ("-o" in names) == ("--out" in names), f"{verb}: {names}"
            if "--output" in names and verb != "deploy":  # there it is an output of the runner
                assert names & {"--out", "--graph-output"}, f"{verb}: {names}"
            assert "--output-dir" not in names or "--out" in names
