"""`dimref audit adapter`: a file to fit an implementation to what is audited, and a test of it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dimref.commands.options import Choice, out_option, refuse_unwritable
from dimref.errors import DimrefError
from dimref.training import choices

if TYPE_CHECKING:
    from dimref.audit.contract import Form

WIDTH = 98
TEMPLATE = '''"""From `dimref audit {kind} {name}` to a function that is called in another way.

    dimref audit {kind} {name} {target} --adapter {file}:adapt{option}

{meaning}

In one case that was drawn:
{shapes}
"""
{pieces}

def adapt(target, {arguments}):
    """Call target, which is yours, and return {outputs}.

    Arrays are of target's own framework; what is returned must come out of its operations, for it is differentiated.
    If target is a class, make an object of it here: target()({arguments}).
    """
    return target({arguments})
'''
TORCH = '''
import torch


def features(scores):
    """Queries and keys whose products are the scores: for a target of features, as long as it does not normalize them."""
    return scores, torch.eye(len(scores), dtype=scores.dtype)


def samples(scores):
    """N samples x (or y), each its own number: for a target that takes a critic and samples."""
    return torch.arange(len(scores), dtype=scores.dtype)[:, None]


class Critic(torch.nn.Module):
    """A critic that looks its scores up: of x and y, or of both side by side.

    target(Critic(scores), samples(scores), samples(scores)); or in place of a sub-module: model.critic = Critic(scores).
    What calls .cuda() needs no change: where there is no device, its tensors stay on the CPU.
    """

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def forward(self, x, y=None):
        x, y = (x[..., :1], x[..., 1:]) if y is None else (x, y)
        return self.scores[x.long(), y.long()]

'''
TEST = '''"""{target} against dimref's reference: pytest {file}"""

from pathlib import Path

import pytest

audit = pytest.importorskip("dimref.audit")
HERE = Path(__file__).parent


def test_{name}():
    audit.assert_conforms({where}, "{kind}", "{name}"{form}, adapter=f"{{HERE}}/{adapter}:adapt")
'''


@click.command(short_help="Print a file to begin an --adapter with.")
@click.argument("kind", type=Choice(choices.AUDIT_KINDS))
@click.argument("name")
@click.argument("target", default="yours.py:f")
@click.option("--form", default="", help="How it is called.  [default: the first of NAME's]")
@click.option("--for", "library", type=Choice(["torch"]), help="With pieces: scores as features, as a critic.")
@out_option("Write it there; never over a file.", metavar="FILE.py")
@click.option("--pytest", "test", is_flag=True, help="Write test_FILE.py beside it, a test that audits TARGET with it.")
def adapter(
    kind: str, name: str, target: str, form: str, library: str | None, out: Path | None, test: bool
) -> None:  # fmt: skip
    """Print a file to begin an --adapter with: a function that calls TARGET as it wants to be called."""
    from dimref.audit.contract import find
    from dimref.training.files import replace

    chosen = find(kind, name).form(form)
    text = TEMPLATE.format(
        kind=kind,
        name=name,
        target=target,
        file=out or "this.py",
        option=f" --form {form}" if form else "",
        meaning=textwrap.fill(chosen.meaning, WIDTH),
        shapes="\n".join(_described(chosen)),
        pieces=TORCH if library else "",
        arguments=", ".join(chosen.signature.arguments),
        outputs=_series(chosen.signature.outputs),
    )
    if out is None:
        if test:
            raise DimrefError("--pytest: expected -o FILE.py, which the test loads, found none")
        click.echo(text, nl=False)
        return
    files = {out: text}
    if test:
        beside = out.with_name(f"test_{out.stem}.py")
        place, _, function = target.rpartition(":")
        where = (
            f'f"{{HERE}}/{place}:{function}"'
            if place.endswith(".py") and not Path(place).is_absolute()
            else repr(target)
        )
        files[beside] = TEST.format(target=target, file=beside, name=name, where=where, kind=kind, adapter=out.name,
                                    form=f', form="{form}"' if form else "")  # fmt: skip
    for each in files:
        refuse_unwritable("-o", each)
        if each.exists():
            raise DimrefError(f"-o {out}: expected new files, found that {each} exists")
    for each, content in files.items():
        replace(each, content.encode())
        click.echo(str(each))


def _described(form: Form) -> list[str]:
    """Each argument of a drawn case: its shape and dtype, those of every array in it, or the value."""
    import numpy as np

    from dimref.audit.contract import Sizes

    drawn = form.draw(np.random.default_rng(0), Sizes(n=3, m=4, locations=2))

    def words(entry: Any) -> str:
        if isinstance(entry, dict):
            return "{" + ", ".join(f'"{key}": {words(each)}' for key, each in entry.items()) + "}"
        return f"{entry.dtype} {entry.shape}" if isinstance(entry, np.ndarray) else repr(entry)

    lines = []
    for name in form.signature.arguments:
        lines += textwrap.wrap(f"{name}: {words(drawn[name])}", WIDTH, initial_indent="    ", subsequent_indent=" " * 8)
    return lines


def _series(outputs: tuple[str, ...]) -> str:
    return "one array or number" if len(outputs) == 1 else f"the tuple ({', '.join(outputs)})"
