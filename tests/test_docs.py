"""The documentation site builds without a warning, the tutorial's commands run, and so does the notebook."""

import os
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import browser
import pytest

from segfast_edge.cli import verbs

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK, TUTORIAL = ROOT / "docs/python.ipynb", ROOT / "docs/tutorial.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed. Run: pip install 'segfast-edge[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class Asked(HTMLParser):
    """Collects what a page makes a browser fetch; a link that a reader may follow is not fetched."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag in ("script", "img", "iframe"):
            self.addresses.append(found.get("src") or "")
        if tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.addresses.append(found.get("href") or "")


@pytest.mark.slow
def test_the_site_is_built_strictly_and_fetches_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        outside = [each for each in Asked(page.read_text()).addresses if re.match(r"(https?:)?//", each)]
        assert outside == [], page.name


@pytest.mark.slow
def test_every_verb_and_every_function_has_its_place(site):
    text = (site / "reference/verbs.html").read_text()
    assert all(f'id="{name}"' in text for name in verbs())
    assert "--warmup-epochs" in text, "the long help, not the short one"
    text = (site / "reference/python.html").read_text()
    import segfast_edge as sf

    assert all(f"segfast_edge.api.{name}" in text for name in ("load", "train", "evaluate", "convert", "profile"))
    assert all(hasattr(sf, name) for name in re.findall(r'id="segfast_edge\.api\.(\w+)"', text))


@pytest.mark.slow
def test_the_search_finds_a_word_without_another_computer(site):
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, browser.chromium() as tab:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}/"
        tab.show(f"{here}index.html?q=shard", 1280, "light")
        while not (found := tab.value("[...document.querySelectorAll('.md-search-result__link')].map((e) => e.href)")):
            pass  # pytest's limit ends it
        assert any("predict.html" in address for address in found)
        assert all(url.startswith((here, "data:", "blob:", "about:")) for url in tab.requested)
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_runs_from_top_to_bottom_in_one_shell_with_an_empty_home(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    lines = [line[2:] for line in TUTORIAL.read_text().splitlines() if line.startswith("$ ")]
    assert len(lines) > 8
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)], cwd=tmp_path / "work", capture_output=True, text=True,
        env={**os.environ, "HOME": str(tmp_path / "home"), "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    work = tmp_path / "work"
    assert len(list((work / "predicted").glob("*.overlay.png"))) == 16
    assert (work / "car.tar.gz").stat().st_size > 100_000
    accuracies = re.findall(r"mIoU (0\.\d{4})", done.stdout)
    assert accuracies[-1] == accuracies[-2], "the artifact is as good as its checkpoint, as the page says"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_notebook_runs_and_shows_the_overlay():
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    ran = client.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [cell.outputs for cell in ran.cells if cell.cell_type == "code"]
    assert "image/png" in outputs[1][0].data
    assert outputs[4][0].data["text/plain"] in ("True", "np.True_")
    assert float(outputs[5][0].data["text/plain"]) > 0.999
