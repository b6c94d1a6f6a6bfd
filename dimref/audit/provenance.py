"""What was audited: the file and its digest, the package and its version, the commit; and with which libraries.

Nothing of the target is imported for it.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from dimref.audit import loading

LIBRARIES = ("dimref", "numpy", "autograd", "hypothesis")
OF_FRAMEWORK = {
    "torch": ("torch",),
    "jax": ("jax", "jaxlib"),
    "cupy": ("cupy", "cupy-cuda12x", "cupy-cuda13x"),
}


def of_target(target: str) -> dict[str, str]:
    """What can be said of "module:function" or "file.py:function": file, SHA-256, package, commit, each where known."""
    place, _ = loading.split(target)
    found, file = {}, Path(place) if loading.is_file(place) else _file_of(place)
    if file is not None and file.is_file():
        found["file"] = str(file)
        found["SHA-256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    top = place.partition(".")[0]
    names = [] if loading.is_file(place) else metadata.packages_distributions().get(top, [])
    if names:
        package = metadata.distribution(names[0])
        found["package"] = f"{names[0]} {package.version}"
        commit = json.loads(package.read_text("direct_url.json") or "{}").get("vcs_info", {}).get("commit_id", "")
        if commit:
            return {**found, "commit": commit}
    commit = _commit(file) if file is not None else ""
    return {**found, **({"commit": commit} if commit else {})}


def libraries(framework: str) -> dict[str, str]:
    """Versions of Python and of what took part."""
    found = {"Python": platform.python_version()}
    for name in (*LIBRARIES, *OF_FRAMEWORK.get(framework, ())):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _file_of(module: str) -> Path | None:
    """The file of a module, found without importing its packages."""
    top, *rest = module.split(".")
    name = top
    spec = importlib.machinery.PathFinder.find_spec(top, [os.getcwd()]) or importlib.util.find_spec(top)
    for part in rest:
        name = f"{name}.{part}"
        within = None if spec is None else spec.submodule_search_locations
        spec = None if within is None else importlib.machinery.PathFinder.find_spec(name, list(within))
    return None if spec is None or not spec.origin else Path(spec.origin)


def _commit(file: Path) -> str:
    """The commit of the file's repository, and whether the file differs from it; "" for a file in none."""
    tracked = _git(file, "ls-files", "--", file.name)
    commit = _git(file, "rev-parse", "HEAD") if tracked else ""
    changed = commit and _git(file, "status", "--porcelain", "--", file.name)
    return f"{commit}, the file changed since" if changed else commit


def _git(file: Path, *words: str) -> str:
    command = ["git", "-C", str(file.resolve().parent), *words]
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    return ""
