"""The README's commands are held to the command line as it is."""

import re
import shlex
from pathlib import Path

import pytest

from segfast_edge import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [
    pytest.param(line[2:].partition(" #")[0].strip(), id=f"{page.name}-{number}")
    for page in PAGES
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    if line.startswith("$ ")
]
INLINE = [
    pytest.param(command, id=f"{page.name}-{command}")
    for page in PAGES
    for command in re.findall(r"`(segfast-edge [a-z]+ [^`]*-[^`]*)`", page.read_text(encoding="utf-8"))
    if not command.endswith("--help") and "..." not in command  # which shows that something is left out
]
EXAMPLES = {"N": "2", "SHARE": "5%"}  # what the text calls a value that its reader chooses


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.values[0].startswith("segfast-edge ")])
def test_every_command_shown_is_accepted_by_its_verb(command):
    _, verb, *words = shlex.split(command.partition(" > ")[0])
    cli._parser(verb).parse_args(words)


@pytest.mark.parametrize("command", INLINE)
def test_every_command_in_a_sentence_has_all_that_its_verb_requires(command):
    _, verb, *words = shlex.split(command)
    cli._parser(verb).parse_args([EXAMPLES.get(word, word) for word in words])


def test_every_link_to_a_file_leads_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_two_commands_are_there_and_executable():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("tools/demo", "tools/check"):
        assert f"$ {name} " in text
        assert (ROOT / name).stat().st_mode & 0o111
