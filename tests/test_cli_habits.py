"""What every verb does alike: options from a file, more and less on standard error, completion, short and long help."""

import argparse
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import tiny_artifacts
import torch

from segfast_edge.cli import _leaves, _parser, main, verbs
from segfast_edge.contract.shared.images import write_picture

COMMAND = [sys.executable, "-m", "segfast_edge"]
TINY = {"epochs": 1, "batch_size": 2, "seed": 5, "device": "cpu", "num_workers": 0, "augment": True, "scale": "0.9:1.1"}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return tiny_artifacts.write_artifact(tmp_path_factory.mktemp("artifact") / "model", "onnx")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(4):
        write_picture(folder / f"{seed}.png", tiny_artifacts.frame(seed=seed))
    return folder


def config(tmp_path, text):
    (tmp_path / "given.toml").write_text(text)
    return str(tmp_path / "given.toml")


def test_a_training_can_be_given_back_and_ends_with_the_same_weights(tmp_path):
    data = "scenes:size=32x48,train=6,val=2"
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in TINY.items())
    given = config(tmp_path, f'[train]\nmodel = "tiny_networks:plain"\ndata = "{data}"\nsize = "32x48"\n{lines}\n')
    assert main(["train", "--config", given, "--seed", "3", "--out", str(tmp_path / "first")]) == 0
    written = tomllib.loads((tmp_path / "first/train.toml").read_text())["train"]
    assert written["seed"] == 3, "the command line decides over the file"
    assert {key: written[key] for key in TINY if key != "seed"} == {k: v for k, v in TINY.items() if k != "seed"}
    assert main(["train", "--config", str(tmp_path / "first/train.toml"), "--out", str(tmp_path / "second")]) == 0
    first, second = (torch.load(tmp_path / name / "best.pt", weights_only=True) for name in ("first", "second"))
    assert json.dumps(_plain(first), sort_keys=True) == json.dumps(_plain(second), sort_keys=True)


def _plain(value):
    """Return weights and numbers as lists; what names a place or a moment is left out."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {
            str(key): _plain(each) for key, each in value.items() if key not in ("provenance", "command", "created")
        }
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value)


def test_a_prediction_can_be_given_back_with_lists_and_positional_arguments(artifact, pictures, tmp_path):
    words = [str(pictures / "0.png"), str(pictures / "1.png"), "--model", str(artifact), "--opacity", "0.25"]
    assert main(["predict", *words, "--out", str(tmp_path / "a")]) == 0
    assert main(["predict", "--config", str(tmp_path / "a/predict.toml"), "--out", str(tmp_path / "b")]) == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*.png")}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").glob("*.png")}
    assert len(first) == 6
    written = tomllib.loads((tmp_path / "b/predict.toml").read_text())["predict"]
    assert (written["opacity"], written["sources"]) == (0.25, words[:2])


def test_a_profile_writes_its_options_beside_the_report_and_over_nobody_elses_file(tmp_path):
    artifact = tiny_artifacts.write_null_artifact(tmp_path / "null")
    words = ["profile", str(artifact), "--target", "null", "--num-runs", "5", "--min-secs", "0.01", "--json"]
    (tmp_path / "two.profile.toml").write_text("mine = 1\n")
    for name in ("one", "two"):
        assert main([*words, "--out", str(tmp_path / f"{name}.json")]) == 0
    written = tomllib.loads((tmp_path / "one.profile.toml").read_text())["profile"]
    assert (written["target"], written["num_runs"], written["artifacts"]) == ("null", 5, [str(artifact)])
    assert (tmp_path / "two.profile.toml").read_text() == "mine = 1\n"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[predict]\nopacty = 1\n", "Did you mean 'opacity'?"),
        ("[predict]\nopacity = 'much'\n", "opacity: invalid float value: 'much'"),
        ("[predict]\nopacity = [0.5]\n", "opacity: expected text or a number"),
        ("[predict]\noverwrite = 1\n", "Did you mean"),  # leave to overwrite is given for one run
        ("[predict]\nmodel = true\n", "model: expected text or a number"),
        ("[train]\nepochs = 1\n", "has no table [predict]; it has [train]"),
        ("opacity = 0.5\n[predict]\n", "'opacity' is outside a table"),
        ("[predict\n", "is not TOML"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(text, meant, tmp_path, capsys):
    given = str(tmp_path / "none.toml") if text is None else config(tmp_path, text)
    assert main(["predict", "a.png", "--config", given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert meant in error or meant == "Did you mean"


def test_a_choice_and_a_required_option_may_come_from_a_file(tmp_path, capsys):
    given = config(tmp_path, '[convert]\ntarget = "onnx"\ngraph-output = "sound"\n')
    assert main(["convert", "a.pt", "--config", given]) == 2
    assert "graph-output: invalid choice: 'sound'" in capsys.readouterr().err
    given = config(tmp_path, '[convert]\ntarget = "onnx"\ncheckpoint = "nowhere.pt"\n')
    assert main(["convert", "--config", given]) == 2
    assert "nowhere.pt" in capsys.readouterr().err


def predicting(artifact, pictures, tmp_path, *words, **environment):
    command = [*COMMAND, "predict", str(pictures), "--model", str(artifact), "--out", str(tmp_path / "out"), *words]
    return command, {**os.environ, **environment}


def test_without_a_terminal_there_is_a_line_of_progress_now_and_then_and_none_when_quiet(artifact, pictures, tmp_path):
    command, environment = predicting(artifact, pictures, tmp_path, SEGFAST_PROGRESS_S="0")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert re.search(r"^segmenting: 3 of 4, [\d.]+ a second, \d+ s left$", done.stderr, re.M), done.stderr
    done = subprocess.run([*command, "--quiet"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 pictures" in done.stdout


def test_long_work_without_steps_says_that_it_is_alive(tmp_path):
    artifact = tiny_artifacts.write_null_artifact(tmp_path / "null")
    command = [*COMMAND, "profile", str(artifact), "--target", "null", "--min-secs", "0.5", "--json"]
    environment = {**os.environ, "SEGFAST_PROGRESS_S": "0.05"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert re.search(r"^\d+ s: .*null", done.stderr, re.M), done.stderr
    assert json.loads(done.stdout)


def test_a_training_says_where_it_is_between_epochs(tmp_path):
    command = [*COMMAND, "train", "--model", "segfast_fast", "--data", "scenes:size=32x48,train=6,val=2"]
    command += ["--size", "32x48", "--epochs", "1", "--batch-size", "2", "--device", "cpu", "--num-workers", "0"]
    command += ["--out", str(tmp_path / "run")]
    done = subprocess.run(command, env={**os.environ, "SEGFAST_PROGRESS_S": "0"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^training: [23] of 3, [\d.]+ a second", done.stderr, re.M), done.stderr


def on_a_terminal(command, environment):
    """Return what a program shows on standard error if that is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()


def test_no_colour_means_none(artifact, pictures, tmp_path):
    colour = re.compile(r"\x1b\[[\d;]*(?<![\d])(3[0-8]|4[0-8]|9\d)[;\dm]")
    command, environment = predicting(artifact, pictures, tmp_path, TERM="xterm-256color", NO_COLOR="")
    environment.pop("NO_COLOR")
    assert colour.search(on_a_terminal(command, environment)), "otherwise this shows nothing"
    command, environment = predicting(artifact, pictures, tmp_path, TERM="xterm-256color", NO_COLOR="1")
    assert not colour.search(on_a_terminal(command, environment))


def test_verbose_shows_the_traceback_of_an_error(tmp_path, capsys):
    assert main(["predict", str(tmp_path / "none.png"), "-v"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1] == f"segfast-edge: no such image: {tmp_path / 'none.png'}"
    assert main(["predict", str(tmp_path / "none.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("verb", [name for name in verbs() if name != "device"])
def test_every_verb_can_be_quiet_and_take_its_options_from_a_file(verb):
    for leaf in _leaves(_parser(verb)):
        assert {"-q", "--quiet", "-v", "--verbose"} <= leaf._option_string_actions.keys()
    if verb not in ("data", "runs"):  # whose options are those of their actions
        assert "--config" in _parser(verb)._option_string_actions


@pytest.mark.parametrize("verb", ["train", "convert"])
def test_the_usual_help_has_six_options_and_the_long_one_all(verb, capsys):
    texts = []
    for word in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as stop:
            main([verb, word])
        assert stop.value.code == 0
        texts.append(capsys.readouterr().out)
    shown = [set(re.findall(r"^  (?:-\w(?: \w+)?, )?(--[\w-]+)", text, re.M)) for text in texts]
    assert len(shown[0] - {"--help", "--help-all"}) == 6
    options = [each for each in _parser(verb)._actions if each.option_strings and each.help != argparse.SUPPRESS]
    assert len(shown[1]) == len(options) > 30
    assert shown[0] < shown[1]


BASH = """
source "$1"
COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
$(complete -p segfast-edge | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell, tmp_path, capsys):
    assert main(["completion", shell]) == 0
    (tmp_path / shell).write_text(capsys.readouterr().out)
    return tmp_path / shell


def test_bash_completes_verbs_and_their_options(tmp_path, capsys):
    path = script("bash", tmp_path, capsys)

    def completed(*words):
        command = ["bash", "--norc", "-c", BASH, "bash", str(path), "segfast-edge", *words]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert completed("") >= set(verbs())
    assert completed("pro") == {"profile"}
    assert completed("predict", "--ov") == {"--overwrite"}
    assert completed("data", "ch") == {"check"}
    (tmp_path / "network.pt").touch()
    assert any(word.endswith("network.pt") for word in completed("convert", "--golden", f"{tmp_path}/net"))


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_verbs_and_their_options(tmp_path, capsys):
    path = script("fish", tmp_path, capsys)

    def completed(line):
        command = ["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {each.split("\t")[0] for each in done.stdout.splitlines()}

    assert completed("segfast-edge pro") == {"profile"}
    assert "--overwrite" in completed("segfast-edge predict --ov")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_loads_the_script_and_finds_the_verb(tmp_path, capsys):
    script("zsh", tmp_path, capsys).rename(tmp_path / "_segfast-edge")
    load = f"fpath+={tmp_path}; autoload -U compinit && compinit -D -u -d {tmp_path}/dump; echo $_comps[segfast-edge]"
    done = subprocess.run(["zsh", "-f", "-c", load], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("_segfast-edge\n", "")
    assert subprocess.run(["zsh", "-n", tmp_path / "_segfast-edge"], capture_output=True, check=True).stderr == b""
