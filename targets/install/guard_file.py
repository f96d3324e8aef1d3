"""guard.pyz: the guard with what it imports, one file, so that it is the whole old one or the whole new one."""

import io
import pkgutil
import zipfile

GUARD = "guard.pyz"
_MODULES = (
    ("segfast_edge", "__init__.py"),
    ("segfast_edge.contract", "__init__.py"),
    ("segfast_edge.contract.shared", "__init__.py"),
    ("segfast_edge.contract.shared", "durable.py"),
    ("targets", "__init__.py"),
    ("targets.install", "__init__.py"),
    ("targets.install", "release_check.py"),
    ("targets.install", "guard.py"),
)
_MAIN = "from targets.install.guard import main\n\nmain()\n"


def packed() -> bytes:
    """Return the file's content, from the installer's own code wherever that lies."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for package, name in _MODULES:
            content = pkgutil.get_data(package, name)
            assert content is not None, f"{package} has no {name}"
            archive.writestr(zipfile.ZipInfo(f"{package.replace('.', '/')}/{name}"), content)
        archive.writestr(zipfile.ZipInfo("__main__.py"), _MAIN)
    return stream.getvalue()
