"""A target beside its formula of naive.py: value and gradient at the probes, and what departs in a sentence each."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np

CLOSE = 1e-4  # relative error within which a target follows its formula: single precision included
LARGEST = float(np.finfo(np.float32).max)
MOST = 300  # inputs of a formula that is differentiated by differences


def evaluate(entry: dict[str, Any], target: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The target's value at the inputs, and its gradient by input where its framework has one."""
    arrays = {name: x for name, x in inputs.items() if isinstance(x, np.ndarray)}
    if entry["framework"] == "torch":
        import torch

        held = {name: torch.tensor(x, requires_grad=x.dtype.kind == "f") for name, x in arrays.items()}
        value = target(*{**inputs, **held}.values())
        value = value[0] if isinstance(value, tuple) else value
        if value.requires_grad:
            torch.sum(value * torch.tensor(weights(value.shape), dtype=value.dtype)).backward()
        free = [name for name, x in held.items() if x.requires_grad and name not in naive.HELD.get(entry["due"], ())]
        gradients = {
            name: torch.zeros_like(held[name]) if held[name].grad is None else held[name].grad for name in free
        }
        return value.detach().numpy(), {name: g.numpy() for name, g in gradients.items()}
    if entry["framework"] == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
        free = {name: jax.numpy.asarray(x) for name, x in arrays.items()}
        value, gradients = jax.value_and_grad(lambda held: target(*{**inputs, **held}.values()))(free)
        return np.asarray(value), {name: np.asarray(g) for name, g in gradients.items()}
    return np.asarray(target(*inputs.values())), {}


def weights(shape: Any) -> Any:
    """Of the outputs that are differentiated together; 1 for a scalar."""
    return np.random.default_rng(3).standard_normal(tuple(shape)) if len(shape) else np.ones(())


def differences(formula: Any, inputs: dict[str, Any], names: Any, step: float = 1e-5) -> dict[str, Any]:
    """The gradient of Σ weights · formula by central differences, in float64."""
    inputs = {name: np.array(x, float) if isinstance(x, np.ndarray) else x for name, x in inputs.items()}
    found = {}
    for name in names:
        found[name] = np.zeros(inputs[name].shape)
        for at in np.ndindex(inputs[name].shape):
            ends = []
            for sign in (1, -1):
                moved = {**inputs, name: inputs[name].copy()}
                moved[name][at] += sign * step
                value = np.asarray(formula(*moved.values()))
                ends.append(float((value * weights(value.shape)).sum()))
            found[name][at] = (ends[0] - ends[1]) / (2 * step)
    return found


def facts(entry: dict[str, Any], target: Any) -> list[str]:
    """Where the target departs from its formula, a sentence a probe, the worst first; empty where it does not."""
    formula, slope = getattr(naive, entry["due"]), entry.get("gradient", entry["due"])
    if entry["audit"].startswith(("information", "measure")):
        slope = ""  # tables stay normalized: off the simplex each formula has a gradient of its own
    departing = []
    with np.errstate(all="ignore"):
        for label, inputs in naive.PROBES[entry["probes"]]():
            due = np.asarray(formula(*inputs.values()))
            try:
                value, gradients = evaluate(entry, target, inputs)
            except Exception as error:  # another's code: whatever it raises is the fact
                departing.append(
                    (np.inf, f"{label}: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:90]}")
                )
                continue
            single = [float(np.abs(x).max()) for x in inputs.values() if getattr(x, "dtype", None) == np.float32]
            close = max(CLOSE, 4 * 2**-23 * max(single, default=0.0))
            worst, text = off(value, due), f"value {shown(value, due)} where {shown(due, value)} is due"
            words = [text] if worst > close else []
            if (
                slope
                and gradients
                and np.all(np.abs(due) < LARGEST)
                and sum(g.size for g in gradients.values()) <= MOST
            ):
                ours = differences(getattr(naive, slope), inputs, gradients)
                a, b = (np.concatenate([g[k].ravel().astype(float) for k in ours]) for g in (gradients, ours))
                error = float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-2))
                if not error <= 10 * close:
                    norms = f"of norm {np.linalg.norm(a):.4g} where one of norm {np.linalg.norm(b):.4g} is due"
                    words.append("gradient " + (norms if np.isfinite(a).all() else "with inf or NaN"))
                    worst = max(worst, 0.0 if np.isnan(error) else error)
            if words:
                departing.append((worst, f"{label}: {'; '.join(words)}"))
    return [text for _, text in sorted(departing, key=lambda pair: -pair[0])]


def off(value: Any, due: Any) -> float:
    """The largest error relative to max(1, |due|); what single precision cannot hold may be infinite."""
    if value.shape != due.shape and value.size != due.size:
        return np.inf
    found, expected = np.ravel(value).astype(float), np.ravel(due).astype(float)
    same = (found == expected) | (
        np.isinf(found) & (np.abs(expected) > LARGEST) & (np.sign(found) == np.sign(expected))
    )
    error = np.where(same, 0, np.abs(found - expected) / np.maximum(1, np.abs(expected)))
    return float(np.max(np.where(np.isnan(error), np.inf, error)))


def shown(array: Any, beside: Any) -> str:
    """A number with four digits; of an array the one that is furthest from its neighbour's."""
    if array.size != beside.size:
        return f"of shape {array.shape}"
    a, b = np.ravel(array).astype(float), np.ravel(beside).astype(float)
    return f"{a[int(np.argmax(np.nan_to_num(np.abs(a - b), nan=np.inf)))]:.6g}"


# ---- several ranks

RANKS, ROWS = 2, 3


def facts_on_ranks(entry: dict[str, Any], target: Any) -> list[str]:
    """Where the averaged gradient of two processes departs from the formula's on all rows: a sentence, or none."""
    formula, (probe, *_) = getattr(naive, entry["due"]), naive.PROBES[entry["probes"]]()
    rng, rows = np.random.default_rng(5), [name for name, x in probe.inputs.items() if np.ndim(x) == 2]
    inputs = {**probe.inputs, **{name: rng.standard_normal((RANKS * ROWS, 4)) for name in rows}}
    inputs |= {"temperature": 0.4} if "temperature" in inputs else {}
    losses, found = _averaged(target, inputs, rows)
    ours = differences(formula, inputs, found)
    a, b = (np.concatenate([np.ravel(g[name]) for name in found]) for g in (found, ours))
    if np.linalg.norm(a - b) <= 10 * CLOSE * np.linalg.norm(b):
        return []
    cosine = a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30)
    words = f"loss {np.mean(losses):.6g} where {float(formula(*inputs.values())):.6g} is due; gradient of norm "
    words += f"{np.linalg.norm(a):.4g} where one of norm {np.linalg.norm(b):.4g} is due, cosine {cosine:.4g}"
    return [f"{RANKS} ranks of {ROWS} rows, gradients averaged: {words}"]


def _averaged(target: Any, inputs: dict[str, Any], rows: list[str]) -> tuple[list[float], dict[str, Any]]:
    """Each rank's loss, and the gradients as DistributedDataParallel applies them."""
    import inspect
    import os
    import tempfile
    import traceback
    import warnings
    from pathlib import Path

    import torch
    import torch.distributed

    taken = inspect.signature(target).parameters
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(RANKS):
            child = os.fork()
            if child:
                children.append(child)
                continue
            try:
                warnings.simplefilter("ignore")
                torch.set_num_threads(1)  # OpenMP's threads did not come along: a shared loop would wait for ever
                torch.distributed.init_process_group(
                    "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS
                )
                own = {k: x[rank * ROWS : (rank + 1) * ROWS] if k in rows else x for k, x in inputs.items()}
                held = {
                    k: torch.tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for k, x in own.items()
                }
                offered = {k: x for k, x in {"rank": rank, "world_size": RANKS}.items() if k in taken}
                loss = target(*held.values(), **offered)
                loss.backward()
                arrays = {
                    k: np.zeros(x.shape) if x.grad is None else x.grad.numpy()
                    for k, x in held.items()
                    if isinstance(x, torch.Tensor)
                }
                np.savez(Path(folder, f"{rank}.npz"), loss=loss.item(), **arrays)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        for child in children:
            os.waitpid(child, 0)
        told = [dict(np.load(Path(folder, f"{rank}.npz"))) for rank in range(RANKS)]
    losses = [float(each.pop("loss")) for each in told]
    parts = {name: [each[name] for each in told] for name in told[0]}
    return losses, {k: (np.concatenate(each) if k in rows else sum(each)) / RANKS for k, each in parts.items()}
