"""From "module:function" or "path/to/file.py:function" to something that can be called."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from dimref.errors import DimrefError

FORMS = "module:function or path/to/file.py:function"
HERE = Path(__file__).parent  # whose lines are never the target's own
ROOTS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")  # one of them is in a repository's root
SHORT = {"np": "numpy", "math": "math", "torch": "torch", "jax": "jax", "jnp": "jax.numpy"}  # what --call may write
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
    """The file as a module of a name of its own; its neighbours, and what lies in its repository's root, can be imported."""
    path = path.resolve()
    folders = _folders(path)
    for folder in (*((folders[-1], folders[-1] / "src") if len(folders) > 1 else ()), path.parent):
        sys.path.insert(0, str(folder))
    name = f"audited_{path.stem}"
    spec = importlib.util.spec_from_loader(name, importlib.machinery.SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "relative import" not in str(error):
            raise
        module = sys.modules[name] = _part_of_a_package(path, folders, error)
    return module


def _folders(path: Path) -> list[Path]:
    """The folders around a file up to the root of its repository, or up to the first that is no package."""
    around = list(path.parents)
    roots = [k for k, folder in enumerate(around) if any((folder / name).exists() for name in ROOTS)]
    outside = [k for k, folder in enumerate(around) if not (folder / "__init__.py").exists()]
    return around[: (roots or outside)[0] + 1]


def _part_of_a_package(path: Path, folders: list[Path], error: ImportError) -> Any:
    """The file as a module of the smallest package in which its relative imports are found."""
    for package in folders[:-1] or folders:
        if (package.parent / "__init__.py").exists() and package != folders[-1]:
            continue
        sys.path.insert(0, str(package.parent))
        try:
            return importlib.import_module(".".join(path.relative_to(package.parent).with_suffix("").parts))
        except ImportError as deeper:
            if "relative import" not in str(deeper):
                raise
            error = deeper
    raise error


def _module(name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


def expression(text: str, arguments: tuple[str, ...], offered: tuple[str, ...] = ()) -> CodeType:
    """`--call`: code whose value is a function of these arguments; it evaluates a Python expression.

    {argument} stands for an argument. What comes out is the value; or, if it can be called, is called with the arguments
    that the expression does not name.

    Args:
        offered: more arguments, which are passed nowhere but where the expression names them.
    Raises:
        LoadError: it is no expression, or names an argument that there is not.
    """
    named, every = dict.fromkeys(re.findall(r"\{(\w+)\}", text)), (*arguments, *offered)
    unknown = [each for each in named if each not in every]
    if unknown:
        raise LoadError(f"--call {text}: expected arguments out of {', '.join(every)}, found {{{unknown[0]}}}")
    inner = re.sub(r"\{(\w+)\}", r"_\1", text)
    rest = ", ".join(f"_{each}" for each in arguments if each not in named)
    whole = f"lambda made: made({rest}) if callable(made) else made"
    try:
        compile(inner.strip(), "--call", "eval")
        return compile(f"lambda {', '.join(f'_{each}' for each in every)}: ({whole})(\n{inner}\n)", "--call", "eval")
    except SyntaxError as error:
        raise LoadError(f"--call {text}: expected a Python expression, found {error.msg}") from None


def scope(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """The names that `--call` may write: of the target's module, of the one that defines it, and of a few libraries."""
    place, _, attribute = name.rpartition(":")
    found = {alias: sys.modules[each] for alias, each in SHORT.items() if each in sys.modules}
    for each in (getattr(function, "__module__", ""), f"audited_{Path(place).stem}" if is_file(place) else place):
        found.update(vars(sys.modules[each]) if each in sys.modules else {})
    return {getattr(function, "__name__", attribute): function, **found}


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
