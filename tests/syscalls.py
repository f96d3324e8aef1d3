"""What a program had forced to the disk and what not, read from strace's log of it: a model of a disk with a cache.

It shares nothing with the code that it judges: a file is dirty from the moment it is opened for writing until fsync, a
folder from the moment an entry in it comes, goes or changes until fsync, and a rename takes either along.
"""

import re
from collections.abc import Iterator
from pathlib import Path

CALLS = (
    "open,openat,creat,write,pwrite64,ftruncate,mkdir,mkdirat,rename,renameat,renameat2,symlink,symlinkat,link,linkat,"
)
CALLS += "unlink,unlinkat,rmdir,fsync,fdatasync,sync,syncfs,kill"
_UNFINISHED = " <unfinished ...>"


def calls(log: Path) -> Iterator[tuple[str, str]]:
    """Yield name and arguments of each successful call, in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith(_UNFINISHED):
            begun[pid] = text.removesuffix(_UNFINISHED)
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>", text)
        if resumed:
            text = begun.pop(pid) + text[resumed.end() :]
        found = re.fullmatch(r"(\w+)\((.*)\)\s+= (.*)", text)
        if found and not found[3].startswith("-1"):
            yield found[1], found[2]


class Disk:
    """The state of everything below ``root``: ``dirty`` maps a path to the call that made it so.

    ``seen`` has every path that was ever dirty, under the name that it has now.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.dirty: dict[str, str] = {}
        self.seen: set[str] = set()

    def take(self, name: str, arguments: str) -> None:
        """Take in one call."""
        paths = [self._absolute(text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)]
        open_file = re.match(r"\d+<([^>]*)>", arguments)
        if name in ("fsync", "fdatasync"):
            self.dirty.pop(open_file[1] if open_file else "", None)
        elif name in ("sync", "syncfs"):
            self.dirty.clear()
        elif name in ("write", "pwrite64", "ftruncate"):
            self._soil(open_file[1] if open_file else "", name)
        elif name in ("open", "openat", "creat"):
            if name == "creat" or re.search(r"O_CREAT|O_TRUNC", arguments):
                self._soil(paths[0], name)
                self._soil_folder(paths[0], name)
        elif name.startswith("rename"):
            self._rename(*paths)
        elif name in ("symlink", "symlinkat", "link", "linkat", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"):
            self._soil_folder(paths[-1], f"{name} {paths[-1]}")
            if name.startswith("mkdir"):
                self._soil(paths[-1], name)
            elif name in ("unlink", "unlinkat", "rmdir"):
                self.dirty.pop(paths[-1], None)

    def _absolute(self, text: str) -> str:
        return text if text.startswith("/") else f"{self._root}/?/{text}"

    def _soil(self, path: str, why: str) -> None:
        if path.startswith(self._root):
            self.dirty[path] = why
            self.seen.add(path)

    def _soil_folder(self, path: str, why: str) -> None:
        self._soil(path.rpartition("/")[0], why)

    def _rename(self, old: str, new: str) -> None:
        for path in [path for path in self.dirty if path == new or path.startswith(f"{new}/")]:
            del self.dirty[path]
        for path in [path for path in self.dirty if path == old or path.startswith(f"{old}/")]:
            self.dirty[new + path[len(old) :]] = self.dirty.pop(path)
        self.seen |= {new + path[len(old) :] for path in self.seen if path == old or path.startswith(f"{old}/")}
        self._soil_folder(old, f"rename {old}")
        self._soil_folder(new, f"rename {new}")
