"""Hold public implementations against dimref, confirm each verdict by a computation of its own, and write CONFORMANCE.md.

    python examples/audits/run.py                        # makes its environment (.venv), then audits the packages
    python examples/audits/run.py --clones DIR           # the repositories too: DIR/OWNER/NAME, at the manifest's commits
    python examples/audits/run.py --only pml_nt_xent     # one entry of manifest.toml

Each entry leaves a result in results/ and is not run again until it, its adapter, naive.py or dimref changes. Exit code 0:
every verdict is the manifest's and the computation confirms it; 1: not every one; 2: something could not be run.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MANIFEST = tomllib.loads((HERE / "manifest.toml").read_text(encoding="utf-8"))
ENTRIES: dict[str, dict[str, Any]] = {entry["adapter"].partition(":")[2]: entry for entry in MANIFEST["entry"]}
VALID = ("conforms", "another valid convention")
LIMIT = 600  # seconds for one entry


class Failed(Exception):
    """What ends the run, or an entry, in one line."""


def run_one(name: str) -> dict[str, Any]:
    """Audit an entry and compute its facts."""
    sys.path[:0] = [str(ROOT), str(HERE), str(HERE / "adapters")]
    import compare

    import dimref.audit.distributed.report as report_on_ranks
    from dimref.audit import audit, audit_distributed, report
    from dimref.audit.loading import load

    entry = ENTRIES[name]
    target = f"{HERE / 'adapters'}{os.sep}{entry['adapter']}"
    kind, quantity = entry["audit"].split()
    if kind == "distributed":
        found = audit_distributed(target, quantity, framework=entry["framework"], time_limit=60.0)
        return {**report_on_ranks.as_json(found), "facts": compare.facts_on_ranks(entry, load(target))}
    found = audit(target, kind, quantity, entry.get("form", ""), framework=entry["framework"], time_limit=60.0)
    return {**report.as_json(found), "facts": compare.facts(entry, load(target))}


# ---- all entries


def of(entry: dict[str, Any]) -> str:
    """The package's version, or the repository's commit."""
    source = entry["of"]
    if source in MANIFEST["repositories"]:
        return f"{source}@{MANIFEST['repositories'][source][:10]}"
    return str(MANIFEST["packages"][source])


def command(entry: dict[str, Any]) -> str:
    """What one types to see the whole report."""
    form = f" --form {entry['form']}" if "form" in entry else ""
    target = f"examples/audits/adapters/{entry['adapter']}"
    return f"dimref audit {entry['audit']} {target} --framework {entry['framework']}{form}"


def available(entry: dict[str, Any], clones: Path | None) -> None:
    """Raises Failed unless the package of that version, or the clone at that commit, is there."""
    source = entry["of"]
    if source not in MANIFEST["repositories"]:
        name, _, version = MANIFEST["packages"][source].partition("==")
        try:
            found = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            raise Failed(f"{name} is not installed; python {Path(__file__).name} without --here installs it") from None
        if found != version:
            raise Failed(f"expected {name} {version}, found {found}")
        return
    commit = MANIFEST["repositories"][source]
    folder = (clones or Path()) / source
    asked = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    found = asked.stdout.strip()
    if asked.returncode or found != commit:
        raise Failed(f"expected a clone of {source} at {commit} in {folder}, found {found or 'none'}")


def stamp(entry: dict[str, Any]) -> str:
    """Of all that a result depends on."""
    digest = hashlib.sha256(json.dumps([entry, of(entry)]).encode())
    ours = (HERE / "naive.py", HERE / "compare.py", HERE / "adapters" / entry["adapter"].partition(":")[0])
    for file in (*ours, HERE / "adapters" / "parts.py", *sorted((ROOT / "dimref").rglob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def outcome(entry: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """What is not as it should be: the verdict beside the manifest's, and beside the computation."""
    wrong = []
    if result["verdict"] != entry["verdict"]:
        wrong.append(f"the manifest has {entry['verdict']}")
    elif result["key"] != entry.get("key", result["key"]):
        wrong.append(f"named {result['key'] or 'nothing known'}, the manifest has {entry['key']}")
    if (result["verdict"] in VALID) != (not result["facts"]):
        wrong.append("the computation " + ("departs" if result["facts"] else "agrees in every probe"))
    return wrong


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="an entry; may be given several times")
    parser.add_argument("--clones", type=Path, metavar="DIR", help="where clones lie, in DIR/OWNER/NAME")
    parser.add_argument(
        "--env", type=Path, default=HERE / ".venv", metavar="DIR", help="the environment to make or use"
    )
    parser.add_argument("--here", action="store_true", help="use this Python's packages and make no environment")
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="DIR")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print("\n" + json.dumps(run_one(asked.one), ensure_ascii=False))
        return 0
    for name in asked.only or ():
        if name not in ENTRIES:
            raise Failed(f"--only {name}: expected a name of manifest.toml, as {', '.join(list(ENTRIES)[:4])}, …")
    if not asked.here:
        python = environment(asked.env)
        return subprocess.run([str(python), __file__, "--here", *sys.argv[1:]], check=False).returncode
    if asked.clones:
        os.environ["DIMREF_AUDIT_CLONES"] = str(asked.clones.resolve())
    all_ = [name for name, entry in ENTRIES.items() if asked.clones or entry["of"] in MANIFEST["packages"]]
    chosen = asked.only or all_
    codes = [report(name, asked.results, asked.clones) for name in chosen]
    if not asked.only:
        from table import write

        write(HERE / "CONFORMANCE.md", asked.results, ENTRIES, of, command, outcome)
    return max(codes)


def environment(folder: Path) -> Path:
    """The Python of an environment with every package of the manifest, made where it is missing."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = json.dumps(MANIFEST["packages"])
    done = folder / "installed.json"
    if not (done.exists() and done.read_text() == wanted):
        venv.create(folder, with_pip=True)
        apart = MANIFEST["without_their_requirements"]
        plain = [line for name, line in MANIFEST["packages"].items() if name not in apart]
        for words in ([*plain, *MANIFEST["also"]], ["--no-deps", *(MANIFEST["packages"][name] for name in apart)]):
            print(f"installing {' '.join(words)}", flush=True)
            if subprocess.run([str(python), "-m", "pip", "install", "-qq", *words], check=False).returncode:
                raise Failed("pip could not install them: is there a network? The lines above have its reason")
        done.write_text(wanted)
    return python


def report(name: str, results: Path, clones: Path | None) -> int:
    """Run an entry unless its result is there, print its line, and return its exit code."""
    entry, file = ENTRIES[name], results / f"{name}.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    try:
        available(entry, clones)
        if result.get("stamp") != stamp(entry):
            result = {**in_process(name), "stamp": stamp(entry)}
            results.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    except Failed as error:
        print(f"{name:<28} could not run: {error}", flush=True)
        return 2
    wrong = outcome(entry, result)
    words = f"{result['verdict']}{' ' + result['key'] if result['key'] else ''}"
    print(f"{name:<28} {words}{'; NOT AS EXPECTED: ' + '; '.join(wrong) if wrong else ''}", flush=True)
    return 2 if result["verdict"] == "could not run" else int(bool(wrong))


def in_process(name: str) -> dict[str, Any]:
    """`run_one` in a process of its own: modules of two repositories may have one name."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True, timeout=LIMIT,
                              env=environ, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer within {LIMIT} s") from None
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["it printed nothing"])[-1])
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        print(f"run.py: {failed}", file=sys.stderr)
        sys.exit(2)
