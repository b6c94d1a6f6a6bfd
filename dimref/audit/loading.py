"""From "module:function" or "path/to/file.py:function" to something that can be called."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dimref.errors import DimrefError

FORMS = "module:function or path/to/file.py:function"
HERE = Path(__file__).parent  # whose lines are never the target's own


LIBRARIES = (os.path.dirname(os.__file__), "<frozen")


class LoadError(DimrefError):
    """The target, or the adapter, cannot be loaded."""


def split(target: str, option: str = "TARGET") -> tuple[str, str]:
    """The place and the function's name. Reports whatever shows without running anything.

    Raises:
        LoadError: it has no such form, or the file is not there.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name.replace(".", "_").isidentifier():
        raise LoadError(f"{option} {target}: expected {FORMS}, found {'no :' if not colon else 'no name after :'}")
    if is_file(place):
        path = Path(place)
        if not path.is_file():
            found = "a directory" if path.is_dir() else "no such file"
            raise LoadError(f"{option} {target}: expected a Python file, found {found}: {place}")
    elif not place.replace(".", "_").isidentifier():
        raise LoadError(f"{option} {target}: expected {FORMS}, found neither a file nor a module's name: {place}")
    return place, name


def is_file(place: str) -> bool:
    """Whether the part before the colon names a file, not a module."""
    return place.endswith(".py") or os.sep in place or "/" in place or Path(place).exists()


def load(target: str, option: str = "TARGET") -> Callable[..., Any]:
    """Import the module, or run the file, and take the function. This runs somebody else's code.

    Raises:
        LoadError: it cannot be imported, is not there, or cannot be called.
    """
    place, name = split(target, option)
    try:
        found = _file(Path(place)) if is_file(place) else _module(place)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit at import included
        raise LoadError(f"{option} {target}: expected to import {place}, it {error_of(error, place)}") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise LoadError(f"{option} {target}: expected {name} in {place}, found {_names(found)}")
        found = getattr(found, part)
    if not callable(found):
        raise LoadError(f"{option} {target}: expected a function, found {name} to be of type {type(found).__name__}")
    return found


def _file(path: Path) -> Any:
    """The file as a module of a name of its own; its neighbours can be imported, as if it had been started."""
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_loader(
        f"audited_{path.stem}", importlib.machinery.SourceFileLoader(f"audited_{path.stem}", str(path.resolve()))
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


def _names(module: Any) -> str:
    """The functions that are there, as many as fit a line."""
    names = [name for name, thing in vars(module).items() if callable(thing) and not name.startswith("_")]
    return ("only " + ", ".join(names[:8]) + (", …" if len(names) > 8 else "")) if names else "no function there"


def error_of(error: BaseException, place: str = "") -> str:
    """An error of the target's as part of a line: what it was, and the last line of its own code that led there.

    Args:
        place: the target's file or directory; a line of it is preferred to one of a library.
    """
    if isinstance(error, SystemExit):
        what = f"called sys.exit({'' if error.code is None else repr(error.code)})"
    else:
        text = " ".join(str(error).split())
        what = f"raised {type(error).__name__}" + (f": {text[:300]}" if text else "")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{what.partition(' (')[0]} ({Path(error.filename).name}, line {error.lineno})"
    return what + where(error, place)


def where(error: BaseException, place: str = "") -> str:
    """The last line of the target's own code, as " (file, line: code)"; "" if there is none."""
    frame = _own_frame(error, place)
    if frame is None:
        return ""
    code = f": {frame.line}" if frame.line else ""
    return f" ({Path(frame.filename).name}, line {frame.lineno}{code})"


def _own_frame(error: BaseException, place: str) -> traceback.FrameSummary | None:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if HERE not in Path(frame.filename).parents and "importlib" not in frame.filename
    ]
    start = str(Path(place).resolve()) if place and is_file(place) else place
    own = [frame for frame in frames if start and frame.filename.startswith(start)]
    local = [frame for frame in frames if not frame.filename.startswith(LIBRARIES) and "site-" not in frame.filename]
    chosen = own or local
    return chosen[-1] if chosen else None
