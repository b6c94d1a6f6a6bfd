"""Public implementations: the manifest holds together, the comparison sees a departure, the runner says what it lacks."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
AUDITS = ROOT / "examples" / "audits"
MANIFEST = tomllib.loads((AUDITS / "manifest.toml").read_text(encoding="utf-8"))
ENTRIES = MANIFEST["entry"]


def name(entry):
    return entry["adapter"].partition(":")[2]


@pytest.fixture
def modules(monkeypatch):
    """run, compare, naive and table, as the script imports them."""
    monkeypatch.syspath_prepend(str(AUDITS))
    loaded = [importlib.import_module(part) for part in ("run", "compare", "naive", "table")]
    yield loaded
    for part in loaded:
        sys.modules.pop(part.__name__)


def test_the_manifest_names_what_there_is(modules):
    _, _, naive, _ = modules
    assert len({(entry["of"], entry["says"]) for entry in ENTRIES}) == len(ENTRIES) >= 25
    for entry in ENTRIES:
        file, _, function = entry["adapter"].partition(":")
        tree = ast.parse((AUDITS / "adapters" / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert entry["of"] in MANIFEST["packages"] or re.fullmatch(
            "[0-9a-f]{40}", MANIFEST["repositories"][entry["of"]]
        )
        assert entry["probes"] in naive.PROBES
        for formula in {entry["due"], entry.get("gradient") or entry["due"]}:
            for probe in naive.PROBES[entry["probes"]]():
                assert np.ndim(getattr(naive, formula)(*probe.inputs.values())) < 5


def test_the_formulas_owe_dimref_nothing():
    for file in ("naive.py", "compare.py"):
        assert "dimref." not in (AUDITS / file).read_text(encoding="utf-8").replace("line of dimref.", "")
        assert "import dimref" not in (AUDITS / file).read_text(encoding="utf-8")


JSD = {"audit": "bound jsd", "due": "jsd_bce", "probes": "pairs"}


def test_a_departure_is_a_fact(modules):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[oracle]'")
    _, compare, _, _ = modules
    sp, entry = torch.nn.functional.softplus, {**JSD, "framework": "torch"}
    assert compare.facts(entry, lambda joint, product: sp(-joint).mean() + sp(product).mean()) == []
    off = compare.facts(entry, lambda joint, product: sp(-joint).mean() + sp(product).mean() + 1)
    assert "value 81 where 80 is due" in " ".join(off)
    assert "gradient" not in " ".join(off)
    stopped = compare.facts(entry, lambda joint, product: sp(-joint).mean() + sp(product.detach()).mean())
    assert "value" not in " ".join(stopped)
    assert "of norm 0.5 where one of norm 0.7071 is due" in " ".join(stopped)
    naive = compare.facts(
        entry, lambda joint, product: (1 + (-joint).exp()).log().mean() + (1 + product.exp()).log().mean()
    )
    assert naive[0].startswith("all scores near 95 nats, float32: value inf where ")
    assert "0 is due" not in naive[0]
    raised = compare.facts(entry, lambda joint, product: joint[99])
    assert "IndexError" in raised[0]


def test_a_departure_on_ranks_is_a_fact(modules):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[oracle]'")
    _, compare, _, _ = modules
    with_backward = importlib.import_module("torch.distributed.nn.functional").all_gather
    entry = {"due": "clip", "probes": "clip features"}

    def loss(image, text, temperature, gather=with_backward):
        image, text = (torch.cat(gather(torch.nn.functional.normalize(x, dim=1))) for x in (image, text))
        scores, labels = image @ text.T / temperature, torch.arange(len(image))
        return sum(torch.nn.functional.cross_entropy(s, labels) for s in (scores, scores.T)) / 2

    assert compare.facts_on_ranks(entry, loss) == []
    (fact,) = compare.facts_on_ranks(entry, lambda *args, rank: loss(*args, lambda x: own_slice(torch, x, rank)))
    assert re.match(r"2 ranks of 3 rows, gradients averaged: loss ([\d.]+) where \1 is due; gradient of norm ", fact)
    assert fact.endswith(", cosine 1")


def own_slice(torch, x, rank):
    found = [torch.empty_like(x) for _ in range(2)]
    torch.distributed.all_gather(found, x)
    found[rank] = x
    return found


def test_a_verdict_is_confirmed_or_not(modules):
    run, *_ = modules
    entry = {"verdict": "conforms"}
    conforms = {"verdict": "conforms", "key": "", "facts": []}
    assert run.outcome(entry, conforms) == []
    assert run.outcome(entry, {**conforms, "facts": ["a"]}) == ["the computation departs"]
    missed = {"verdict": "mistake", "key": "unknown", "facts": []}
    assert run.outcome(entry, missed) == ["the manifest has conforms", "the computation agrees in every probe"]
    named = {"verdict": "mistake", "key": "naive-softmax", "facts": ["a"]}
    assert run.outcome({"verdict": "mistake", "key": "naive-softmax"}, named) == []
    assert run.outcome({"verdict": "mistake", "key": "clamped"}, named) == [
        "named naive-softmax, the manifest has clamped"
    ]


def started(*words):
    return subprocess.run([sys.executable, str(AUDITS / "run.py"), *words], capture_output=True, text=True, timeout=300)


def test_what_cannot_be_run_is_one_line_and_exit_code_2(tmp_path):
    done = started("--here", "--only", "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"run\.py: --only nobody: expected a name of manifest\.toml, as .*\n", done.stderr)
    done = started("--here", "--only", "dim_jsd", "--clones", str(tmp_path), "--results", str(tmp_path / "r"))
    assert done.returncode == 2
    said = r"dim_jsd +could not run: expected a clone of rdevon/DIM at bac47\w+ in .*, found none\n"
    assert re.fullmatch(said, done.stdout)
    assert not (tmp_path / "r").exists()


def test_a_package_that_is_not_there_is_named(modules, monkeypatch):
    run, *_ = modules
    monkeypatch.setitem(run.MANIFEST["packages"], "scipy", "scipy==0.0.1")
    with pytest.raises(run.Failed, match=r"^expected scipy 0\.0\.1, found [\d.]+$"):
        run.available({"of": "scipy"}, None)
    monkeypatch.setitem(run.MANIFEST["packages"], "scipy", "no-such-package==1")
    with pytest.raises(run.Failed, match=r"^no-such-package is not installed; "):
        run.available({"of": "scipy"}, None)


def test_without_a_network_it_says_so_and_tries_again(modules, monkeypatch, tmp_path):
    run, *_ = modules
    calls = []
    monkeypatch.setattr(run.venv, "create", lambda *_, **__: None)
    monkeypatch.setattr(
        run.subprocess, "run", lambda words, **_: calls.append(words) or run.argparse.Namespace(returncode=1)
    )
    for _ in range(2):
        with pytest.raises(run.Failed, match=r"^pip could not install them: is there a network\?"):
            run.environment(tmp_path)
    assert len(calls) == 2
    monkeypatch.setattr(
        run.subprocess, "run", lambda words, **_: calls.append(words) or run.argparse.Namespace(returncode=0)
    )
    python = run.environment(tmp_path)
    assert len(calls) == 4
    assert run.environment(tmp_path) == python
    assert len(calls) == 4


def test_the_table_shows_verdicts_facts_and_what_is_wrong(modules, tmp_path):
    run, _, _, table = modules
    entries = {key: run.ENTRIES[key] for key in ("scipy_entropy", "scipy_jensenshannon", "scipy_kl")}
    entries["scipy_jensenshannon"] = {**entries["scipy_jensenshannon"], "verdict": "mistake"}
    common = {"key": "", "diagnosis": "its root", "counterexample": None}
    found = {"scipy_entropy": {**common, "verdict": "conforms", "facts": []},
             "scipy_jensenshannon": {**common, "verdict": "conforms", "facts": ["p: value 2 where 1 is due"],
                                     "counterexample": {"inputs": "{p}", "found": "{2}", "expected": "{1}"}}}  # fmt: skip
    for key, result in found.items():
        (tmp_path / f"{key}.json").write_text(json.dumps(result), encoding="utf-8")
    table.write(tmp_path / "T.md", tmp_path, entries, run.of, run.command, run.outcome)
    text = (tmp_path / "T.md").read_text(encoding="utf-8")
    assert re.search(r"2 functions of 1 packages? .*: 2 conform\. 1 verdict", text)
    assert "| **stats.entropy**, scipy==" in text
    assert "- `scipy_jensenshannon`: the manifest has mistake; the computation departs" in text
    assert "inputs   {p}" in text
    assert "Not run: scipy_kl." in text


def test_the_committed_table_has_every_entry():
    text = (AUDITS / "CONFORMANCE.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert [re.match(r"\| \*\*(.*?)\*\*, ", row)[1] for row in rows] == [entry["says"] for entry in ENTRIES]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    counts = re.search(r"\d+ functions of \d+ packages and repositories: .*?\.", text)[0]
    assert counts in readme
    shown = re.findall(r"\| (\*\*[^|]*?) \| ([^|]*?) \|", readme)
    assert len(shown) == 5
    for implementation, computed in shown:
        assert any(row.startswith(f"| {implementation} |") and row.endswith(f"| {computed} |") for row in rows)


def installed(entry):
    wanted, _, version = MANIFEST["packages"][entry["of"]].partition("==")
    try:
        return metadata.version(wanted).partition("+")[0] == version
    except metadata.PackageNotFoundError:
        return False


# One by default, five more with the exhaustive tests; all of them are the example's own business.
SAMPLE = {"scipy_jensenshannon": ()}
SAMPLE |= dict.fromkeys(
    ("torch_infonce", "torch_conv2d", "torch_layer_norm", "sklearn_mutual_info", "torch_cross_entropy"),
    pytest.mark.exhaustive,
)


@pytest.mark.parametrize(
    "entry", [pytest.param(e, id=name(e), marks=SAMPLE[name(e)]) for e in ENTRIES if name(e) in SAMPLE]
)
def test_entries_of_this_environment(entry, tmp_path):
    if not installed(entry):
        pytest.skip(f"{MANIFEST['packages'][entry['of']]} is not installed: python examples/audits/run.py installs it")
    done = started("--here", "--only", name(entry), "--results", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    again = started("--here", "--only", name(entry), "--results", str(tmp_path))  # from its result
    assert again.stdout == done.stdout
