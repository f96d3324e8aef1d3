"""What the documentation site makes of the code when it is built: a page of every verb, from its own parser."""

from typing import Any

from mkdocs.structure.files import File, Files

from segfast_edge.cli import _parser, help_of, verbs

VERBS = "reference/verbs.md"
REPOSITORY = ("../calibration/README.md",)  # pages link to these files, which a site does not have


def on_files(files: Files, config: Any) -> Files:
    """Add the page of verbs."""
    files.append(File.generated(config, VERBS, content=verbs_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name files of the repository in place of linking to them."""
    for link in REPOSITORY:
        name = link.removeprefix("../")
        markdown = markdown.replace(f"[{name}]({link})", f"`{name}`")
    return markdown


def verbs_page() -> str:
    """Return every verb's options as its long help shows them."""
    parts = [f"## {name}\n\n{help_of(name)}\n\n```text\n{_parser(name).format_help()}```\n" for name in verbs()]
    return "\n".join(["# Verbs\n", *parts])
