import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest
import tiny_artifacts as tiny
import tiny_bundle
import tiny_runner
from fuzzing import tries
from hypothesis import given
from hypothesis import strategies as st
from tiny_runner import proven_artifact

from segfast_edge.cli import main
from segfast_edge.contract.bundle_listing import LISTING, SIGNATURE, BundleListing, ListedFile, check_name
from segfast_edge.deployment.bundle import BundleRequest, build, parse_platform, prepare
from segfast_edge.errors import ArtifactError, TargetError
from segfast_edge.remote.device_packages import usual_platform
from segfast_edge.weights import DEFAULT, find
from targets.install.trust import Trust, read_public_key
from targets.install.unpack import inspect, unpack
from targets.install.ustar import Archive

ANY = Trust((), unsigned=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.write(tiny_bundle.prepared(), tmp_path_factory.mktemp("bundle") / "car.tar.gz")


def test_the_same_input_gives_the_same_bytes_whatever_the_clock_and_the_umask(tmp_path):
    artifact = proven_artifact(tmp_path / "a")
    made = []
    for index, umask in enumerate((0o022, 0o077)):
        before = os.umask(umask)
        try:
            build(BundleRequest(artifact, "null", tmp_path / f"{index}.tar.gz"), tiny_bundle.key())
        finally:
            os.umask(before)
        made.append((tmp_path / f"{index}.tar.gz").read_bytes())
        for path in artifact.rglob("*"):
            os.utime(path, (1, index))
    assert made[0] == made[1]


def test_a_bundle_holds_the_device_code_and_the_artifact_and_nothing_of_the_toolkit(bundle):
    with tarfile.open(bundle) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert names[:2] == [LISTING, SIGNATURE]
    assert names[2:] == sorted(names[2:])
    wanted = {"run.py", "install", "segfast-edge.service", "requirements.txt", "LICENSE", "artifact/manifest.json"}
    assert wanted <= set(names)
    assert not any(name.startswith(("segfast_edge/cli", "segfast_edge/model", "segfast_edge/export")) for name in names)
    assert not any("__pycache__" in name for name in names)
    assert {member.mtime for member in members} == {0}
    assert {(member.uid, member.gid, member.uname) for member in members} == {(0, 0, "")}
    assert {member.name for member in members if member.mode & 0o100} == {"install", "run.py"}


def test_an_unpacked_bundle_runs_by_itself_without_torch_and_without_the_toolkit(bundle, tmp_path):
    unpack(bundle, ANY, tmp_path)
    run = [sys.executable, tmp_path / "run.py"]
    done = subprocess.run([*run, "--self-test"], capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stdout) == (0, "golden frame: 100.000% of labels agree, engine null\n")
    code = "import sys, runpy; sys.argv = ['run.py', 'test:64x48', 'masks:out', '--rate', '50', '--stall-s', '9'];"
    code += "import os, pathlib, signal, threading, time;"
    code += "\ndef stop():"
    code += "\n  while not any(pathlib.Path('out').rglob('*.png')): time.sleep(0.05)"
    code += "\n  os.kill(os.getpid(), signal.SIGTERM)"
    code += "\nthreading.Thread(target=stop, daemon=True).start();"
    code += f"sys.path.insert(0, {str(tmp_path)!r});"
    code += f"\ntry: runpy.run_path({str(tmp_path / 'run.py')!r}, run_name='__main__')"
    code += "\nexcept SystemExit as end: print(end.code, 'torch' in sys.modules, 'segfast_edge.model' in sys.modules, "
    code += "sys.modules['targets'].__file__, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ended.stderr.splitlines()[-1] == f"0 False False {tmp_path}/targets/__init__.py"
    assert list((tmp_path / "out").iterdir())


def test_a_path_that_was_typed_starts_where_it_was_typed_and_one_in_the_configuration_at_the_installation(tmp_path):
    release = tmp_path / "car/releases/0123456789abcdef"
    shutil.copytree(tiny_bundle.prepared().folder, release)
    (release / LISTING).write_bytes(tiny_bundle.prepared().listing.to_bytes())
    tiny_runner.pictures(tmp_path / "car/in", 2)
    options = ["--deadline-ms", "9000", "--fallback", f"releases/{release.name}/artifact"]
    config = {"input": "in", "outputs": ["jsonl:out"], "options": options}
    (tmp_path / "car/config.json").write_text(json.dumps(config))
    (tmp_path / "here").mkdir()
    command = [sys.executable, release / "run.py", "--status-file", "status.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("segfast: ") for line in done.stderr.splitlines()), done.stderr  # no warning of Python's
    assert (tmp_path / "here/status.json").is_file()
    lines = [json.loads(line) for line in (tmp_path / "car/out").read_text().splitlines()]
    assert [line["name"] for line in lines if line["state"] == "running"] == ["000", "001"]
    fallback = [sys.executable, release / "run.py", "--fallback=nowhere"]
    done = subprocess.run(fallback, capture_output=True, text=True, cwd=tmp_path / "here")
    assert done.returncode == 0, done.stderr  # the configuration's own has the last word


def test_outputs_with_a_relative_path_go_where_systemd_lets_the_runner_write(tmp_path):
    release = tmp_path / "car/releases/0123456789abcdef"
    shutil.copytree(tiny_bundle.prepared().folder, release)
    (release / LISTING).write_bytes(tiny_bundle.prepared().listing.to_bytes())
    tiny_runner.pictures(tmp_path / "car/in", 2)
    outputs = ["jsonl:lines", "masks:m", "overlays:o", "video:v/a.avi", f"jsonl:{tmp_path}/absolute"]
    (tmp_path / "car/config.json").write_text(json.dumps({"input": "in", "outputs": outputs}))
    (tmp_path / "state").mkdir()
    env = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    before = sorted((tmp_path / "car").rglob("*.*"))
    done = subprocess.run([sys.executable, "-B", release / "run.py"], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"lines", "m", "o", "v", "proven.json"}
    assert (tmp_path / "absolute").exists()
    assert sorted((tmp_path / "car").rglob("*.*")) == before


def test_the_run_script_says_what_is_missing(bundle, tmp_path):
    unpack(bundle, ANY, tmp_path)
    done = subprocess.run([sys.executable, "-S", "-E", tmp_path / "run.py", "0"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"segfast: numpy is missing. Run: pip install -r {tmp_path}/requirements.txt\n"


def test_a_bundle_for_another_kind_of_computer_does_not_run(tmp_path):
    if os.uname().machine != "x86_64":
        pytest.skip("the bundle for another computer is one for a Raspberry Pi")
    made = tiny_bundle.variant(tmp_path / "b")
    listing = json.loads(made.listing.to_bytes())
    (made.folder / LISTING).write_text(json.dumps({**listing, "target": "rpi"}))
    done = subprocess.run([sys.executable, made.folder / "run.py", "--self-test"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "this bundle is for target rpi" in done.stderr


def test_what_is_unpacked_is_what_was_bundled(bundle, tmp_path):
    opened = unpack(bundle, Trust((read_public_key(tiny_bundle.public()),)), tmp_path)
    assert opened.listing == tiny_bundle.prepared().listing
    assert opened.release == tiny_bundle.prepared().release
    for name, listed in opened.listing.files.items():
        path = tmp_path / name
        assert path.read_bytes() == (tiny_bundle.prepared().folder / name).read_bytes()
        assert bool(path.stat().st_mode & 0o100) == listed.executable
    assert inspect(tmp_path, ANY).release == opened.release  # unpacked, it is a bundle still


def repacked(bundle, path, change):
    """Unpack a bundle's entries into a list, change it, and pack it again."""
    with tarfile.open(bundle) as archive:
        entries = [(member, archive.extractfile(member).read()) for member in archive.getmembers()]
    change(entries)
    with tarfile.open(path, "w:gz") as archive:
        for member, data in entries:
            if member.isreg():
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _entry(name, data=b"x", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, data


def _append(name, **kind):
    return lambda entries: entries.append(_entry(name, **kind))


def _change_a_file(entries):
    entries[-1] = (entries[-1][0], entries[-1][1][:-1] + b"#")


def _grow_a_file(entries):
    entries[-1] = (entries[-1][0], entries[-1][1] + b"#")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_append("../outside"), "not on the list"),
        (_append("/etc/outside"), "not on the list"),
        (_append("extra.py"), "not on the list"),
        (_append("run.py"), "comes twice"),
        (_append("link", kind=tarfile.SYMTYPE, link="/etc/passwd"), "only plain files"),
        (_append("hard", kind=tarfile.LNKTYPE, link="run.py"), "only plain files"),
        (_append("device", kind=tarfile.CHRTYPE), "only plain files"),
        (_append("fifo", kind=tarfile.FIFOTYPE), "only plain files"),
        (_append("folder", kind=tarfile.DIRTYPE), "only plain files"),
        (_append("x" * 300), "only plain files"),  # needs an extended header
        (_change_a_file, "sha256 differs"),
        (_grow_a_file, "not as listed"),
        (lambda entries: entries.pop(), "the archive lacks"),
        (lambda entries: entries.pop(0), "does not come first"),
        (lambda entries: entries.insert(0, _entry("first")), "does not come first"),
        (lambda entries: setattr(entries[-1][0], "mode", 0o755), "not as listed"),
    ],
)
def test_nothing_but_the_listed_files_is_taken_and_nothing_leaves_the_folder(bundle, tmp_path, change, message):
    (tmp_path / "in").mkdir()
    bad = repacked(bundle, tmp_path / "bad.tar.gz", change)
    with pytest.raises(ArtifactError, match=message):
        unpack(bad, ANY, tmp_path / "in")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar.gz", "in"]
    assert not any(path.is_symlink() for path in (tmp_path / "in").rglob("*"))


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../b", "a//b", "a/", "./a", "a\\b", "", "a\n", "é", LISTING, f"{LISTING}/a", "x" * 251]
)
def test_a_list_with_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ArtifactError, match="is not allowed"):
        check_name(name)


def test_a_list_that_names_a_file_inside_a_file_is_refused():
    file = ListedFile("0" * 64, 1)
    with pytest.raises(ArtifactError, match="as a file and as a folder"):
        BundleListing("n", "x86", "onnx", "1", {"a": file, "a/b/c": file})


def test_a_bomb_is_refused_before_it_is_unpacked(bundle, tmp_path):
    header = tarfile.TarInfo(LISTING)
    header.size = (1 << 33) - 1  # eight gigabytes of list
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as stream:
        stream.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            stream.write(bytes(1 << 20))
    (tmp_path / "in").mkdir()
    tracemalloc.start()
    with pytest.raises(ArtifactError, match="at most 8388608 are allowed"):
        unpack(bomb, ANY, tmp_path / "in")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()

    def grow(entries):
        listing = json.loads(entries[0][1])
        name = max(listing["files"])
        listing["files"][name]["size"] = 1 << 40
        entries[0] = (entries[0][0], json.dumps(listing).encode())

    with pytest.raises(ArtifactError, match="at most 4294967296 are allowed"):
        unpack(repacked(bundle, bomb, grow), ANY, tmp_path / "in")


def test_a_bundle_that_is_cut_off_anywhere_is_refused(bundle, tmp_path):
    data = bundle.read_bytes()
    for cut in (0, 5, 100, len(data) // 2, len(data) - 2000):
        (tmp_path / "cut.tar.gz").write_bytes(data[:cut])
        with pytest.raises(ArtifactError):
            inspect(tmp_path / "cut.tar.gz", ANY)


_EMPTY = gzip.compress(b"")


@pytest.mark.parametrize(
    "more",
    [b"\0", b"x", bytes(10240), _EMPTY, gzip.compress(bytes(512)), gzip.compress(b"#!/bin/sh\n"), b"\x1f\x8b", "again"],
)
def test_bytes_after_the_archives_end_are_refused(bundle, tmp_path, more):
    data = bundle.read_bytes()
    (tmp_path / "more.tar.gz").write_bytes(data + (data if more == "again" else more))
    for read in (lambda path: inspect(path, ANY), lambda path: unpack(path, ANY, tmp_path / "in")):
        shutil.rmtree(tmp_path / "in", ignore_errors=True)
        (tmp_path / "in").mkdir()
        with pytest.raises(ArtifactError, match="more bytes follow the archive's end"):
            read(tmp_path / "more.tar.gz")


@pytest.mark.parametrize("more", [bytes(10240), bytes(511) + b"x", b"a", bytes(100)])
def test_bytes_after_the_tars_end_are_refused_too(bundle, tmp_path, more):
    (tmp_path / "more.tar.gz").write_bytes(gzip.compress(gzip.decompress(bundle.read_bytes()) + more))
    with pytest.raises(ArtifactError, match="more bytes follow the archive's end"):
        inspect(tmp_path / "more.tar.gz", ANY)


@pytest.mark.parametrize("blocks", range(21))
def test_a_tar_of_any_number_of_blocks_is_padded_and_taken(tmp_path, blocks):
    made = tiny_bundle.variant(
        tmp_path / "v", lambda folder: (folder / "MODEL_CARD.md").write_bytes(bytes(512 * blocks))
    )
    made.write(tmp_path / "b.tar.gz", signature=None)
    assert inspect(tmp_path / "b.tar.gz", ANY).release == made.release


@pytest.mark.parametrize("tool", ["gnu", "python"])
def test_a_bundle_packed_by_another_tar_is_taken_whatever_its_padding(bundle, tmp_path, tool):
    names = [LISTING, SIGNATURE, *sorted(tiny_bundle.prepared().listing.files)]
    (tmp_path / "in").mkdir()
    unpack(bundle, ANY, tmp_path / "in")
    if tool == "gnu":
        command = ["tar", "--format=ustar", "-czf", tmp_path / "again.tar.gz", "-C", tmp_path / "in", *names]
        subprocess.run(command, check=True)
    else:
        with tarfile.open(tmp_path / "again.tar.gz", "w:gz", format=tarfile.USTAR_FORMAT) as archive:
            for name in names:
                archive.add(tmp_path / "in" / name, name)
    assert inspect(tmp_path / "again.tar.gz", ANY).release == tiny_bundle.prepared().release


def test_a_changed_list_is_noticed_by_the_signature_before_anything_is_written(bundle, tmp_path):
    def rename(entries):
        entries[0] = (entries[0][0], entries[0][1].replace(b'"null"', b'"x86"'))

    (tmp_path / "in").mkdir()
    changed = repacked(bundle, tmp_path / "bad.tar.gz", rename)
    with pytest.raises(ArtifactError, match="changed after it was signed"):
        unpack(changed, Trust((read_public_key(tiny_bundle.public()),)), tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@tries(150)
@given(st.data())
def test_no_bytes_make_the_unpacking_fail_with_anything_but_a_refusal(tmp_path_factory, bundle, data):
    with gzip.open(bundle) as stream:
        plain = bytearray(stream.read(40_000))
    for _ in range(data.draw(st.integers(1, 8))):
        plain[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzz.tar.gz"
    path.write_bytes(gzip.compress(bytes(plain), 1))
    with pytest.raises(ArtifactError):
        inspect(path, ANY)


@tries(200)
@given(st.binary(max_size=2000))
def test_no_bytes_make_the_archive_reader_fail_with_anything_but_a_refusal(data):
    try:
        archive = Archive(io.BytesIO(data))
        for _ in archive:
            archive.copy_to(io.BytesIO())
    except ArtifactError:
        pass


_NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "run.py", "bundle.json", "\\", "C:", "\n", "~"]), min_size=1, max_size=4
).map("/".join)
_KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
_ENTRIES = st.lists(
    st.tuples(_NAMES, _KINDS, st.sampled_from(["..", "/etc", "a"]), st.binary(max_size=700)), max_size=5
)


@tries(150)
@given(_ENTRIES, st.booleans())
def test_no_archive_that_lists_what_it_holds_gets_out_of_its_folder(tmp_path_factory, entries, compressed_twice):
    home = tmp_path_factory.mktemp("archive")
    listed = {name: {"sha256": sha256(data).hexdigest(), "size": len(data), "executable": False}
              for name, _, _, data in entries}  # fmt: skip
    about = dict.fromkeys(("name", "target", "format", "version"), "x")
    listing = json.dumps({"bundle_version": 1, **about, "packages": {}, "files": listed}).encode()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind, link, data in [(LISTING, tarfile.REGTYPE, "", listing), *entries]:
            member, _ = _entry(name, kind=kind, link=link)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    packed = gzip.compress(plain.getvalue())
    (home / "x.tar.gz").write_bytes(gzip.compress(packed) if compressed_twice else packed)
    (home / "in").mkdir()
    try:
        unpack(home / "x.tar.gz", ANY, home / "in")
    except ArtifactError:
        pass
    else:
        assert {str(path.relative_to(home / "in")) for path in (home / "in").rglob("*") if path.is_file()} == {
            LISTING,
            *listed,
        }
    assert sorted(path.name for path in home.iterdir()) == ["in", "x.tar.gz"]
    assert not any(path.is_symlink() for path in home.rglob("*"))
    shutil.rmtree(home)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@tries(100)
@given(
    st.sampled_from(["bundle_version", "name", "target", "format", "version", "packages", "files"]),
    _JSON,
    st.binary(max_size=100),
)
def test_no_list_makes_its_reader_fail_with_anything_but_a_refusal(field, value, noise):
    sound = json.loads(tiny_bundle.prepared().listing.to_bytes())
    for data in (noise, json.dumps({**sound, field: value}).encode()):
        try:
            BundleListing.from_bytes(data)
        except ArtifactError:
            continue


def test_an_artifact_that_cannot_be_proven_or_run_is_not_bundled(tmp_path):
    bare = tiny.write_null_artifact(tmp_path / "bare")
    request = BundleRequest(bare, "null", tmp_path / "x.tar.gz")
    with pytest.raises(ArtifactError, match="has no golden/"):
        prepare(request, tmp_path)
    damaged = proven_artifact(tmp_path / "damaged")
    (damaged / "model.tflite").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="sha256 differs"):
        prepare(BundleRequest(damaged, "null", tmp_path / "x.tar.gz"), tmp_path)
    openvino = proven_artifact(tmp_path / "tflite")
    with pytest.raises(TargetError, match="unknown target 'pi'"):
        BundleRequest(openvino, "pi", tmp_path / "x.tar.gz")
    with pytest.raises(TargetError, match=r"ends in .tar.gz"):
        BundleRequest(openvino, "x86", tmp_path / "x.zip")


def test_shipped_weights_bring_their_model_card_and_others_the_one_that_is_given(tmp_path):
    artifact = proven_artifact(tmp_path / "a")
    manifest = json.loads((artifact / "manifest.json").read_text())
    for checkpoint, text, begins in (
        (find(Path(DEFAULT)), None, f"# {DEFAULT}"),
        (find(Path(DEFAULT)), "mine", "mine"),
        (artifact / "model.tflite", None, None),
    ):
        manifest["provenance"]["checkpoint_sha256"] = sha256(checkpoint.read_bytes()).hexdigest()
        (artifact / "manifest.json").write_text(json.dumps(manifest))
        card = tmp_path / "card.md"
        card.write_text(text or "")
        folder = tmp_path / f"files-{begins}"
        folder.mkdir()
        prepare(BundleRequest(artifact, "null", tmp_path / "x.tar.gz", card if text else None), folder)
        made = folder / "MODEL_CARD.md"
        assert made.read_text().startswith(begins) if begins else not made.exists()


def test_torchscript_is_bundled_only_where_torch_is_allowed(tmp_path):
    folder = tmp_path / "ts"
    shutil.copytree(proven_artifact(tmp_path / "a") / "golden", folder / "golden")
    (folder / "model.ts").write_bytes(b"nothing reads this")
    tiny.manifest("torchscript").save(folder)
    with pytest.raises(TargetError, match="allow it with --with-torch"):
        prepare(BundleRequest(folder, "x86", tmp_path / "x.tar.gz"), tmp_path / "out")
    request = BundleRequest(folder, "x86", tmp_path / "x.tar.gz", with_torch=True)
    (tmp_path / "out").mkdir()
    prepare(request, tmp_path / "out")
    assert any(line.startswith("torch>=") for line in (tmp_path / "out/requirements.txt").read_text().splitlines())


def test_platforms_for_packages_are_read_or_refused():
    assert parse_platform("aarch64-3.11-2.36") == usual_platform("rpi")
    for text in ("arm64-3.11-2.36", "aarch64", "aarch64-2.7-2.36"):
        with pytest.raises(TargetError, match="for example aarch64-3"):
            parse_platform(text)
    with pytest.raises(TargetError, match="has no usual computer"):
        usual_platform("null")


def test_the_verb_makes_keys_and_bundles_and_refuses_clearly(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    artifact = proven_artifact(tmp_path / "a")
    assert main(["bundle", "--new-key", "car.key"]) == 0
    assert main(["bundle", str(artifact), "--target", "null", "--key", "car.key", "--json"]) == 0
    about = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert about["bundle"] == "a-null.tar.gz"
    assert about["release"] == inspect(tmp_path / "a-null.tar.gz", ANY).release
    assert main(["bundle", str(artifact), "--target", "null"]) == 2
    assert "sign with --key FILE" in capsys.readouterr().err
    assert main(["bundle"]) == 2
    assert main(["bundle", str(artifact), "--target", "null", "--key", "none"]) == 2
    assert "cannot read key none" in capsys.readouterr().err
    assert main(["bundle", str(artifact), "--target", "null", "--unsigned", "-o", "/proc/x.tar.gz"]) == 2
