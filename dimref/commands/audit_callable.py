"""`dimref audit bound|negatives|…  NAME TARGET`: one function of another implementation."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dimref.commands.options import choice, json_option, printer, refuse_unwritable, status, typed, write_json
from dimref.errors import DimrefError
from dimref.training import choices

WHAT = {
    "bound": "a bound on information, or a loss that is one",
    "negatives": "what makes pairs of the product",
    "discriminator": "a critic of pairs",
    "layer": "a layer",
    "information": "an exact quantity of tables or Gaussians",
    "prior": "a loss of the game with the prior",
    "measure": "a measure of images, or of an evaluation",
}
LONGEST = 3600  # seconds


class _Command(click.Command):
    """A command whose help ends with the names that it takes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from dimref.audit import contract

        rows = [(each.name, f"{each.title}  [{', '.join(f.name for f in each.forms)}]")
                for each in contract.contracts(str(self.name))]  # fmt: skip
        if not rows:
            return
        with formatter.section("NAME, what it is, and the values of --form"):
            formatter.write_dl(rows)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a target is called, and what it may use."""
    for option in (
        click.option("--memory-limit", type=click.IntRange(min=64), default=4096, metavar="MIB",
                     help="Resident, with all that it starts.  [default: 4096]"),
        click.option("--time-limit", type=float, default=10.0, metavar="SECONDS",
                     help="Of one call, without JAX's compilation.  [default: 10]"),
        click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the inputs.  [default: 0]"),
        click.option("--strict", is_flag=True, help="Another valid convention is exit code 1 too."),
        click.option("--call", default="", metavar="PYTHON",
                     help="Instead: an expression with {ARGUMENT} in it, as 'Loss(tau={temperature})'; if what comes out "
                     "can be called, it is, with the other arguments."),
        click.option("--adapter", default="", metavar="FILE.py:FUNCTION", help="Calls TARGET as it wants to be called."),
        choice("--framework", choices.FRAMEWORKS, "Its framework.  [default: detected]"),
    ):  # fmt: skip
        command = option(command)
    return command


def need_time_limit(seconds: float) -> None:
    """Raise DimrefError unless it is one."""
    if not 0 < seconds <= LONGEST:
        raise DimrefError(f"--time-limit: expected seconds above 0, at most {LONGEST}, found {seconds:g}")


def command(kind: str) -> click.Command:
    """`dimref audit KIND`."""

    @click.command(kind, cls=_Command, short_help=f"Audit {WHAT[kind]}.")
    @click.argument("name")
    @click.argument("target")
    @target_options
    @click.option("--form", default="", help="How it is called.  [default: the first of NAME's that fits]")
    @choice("--dtype", ("float32", "float16", "bfloat16"),
            "Call it with this precision alone.  [default: float64 and float32]")  # fmt: skip
    @click.option("--loss", is_flag=True, help="It is minimized: returned as it is, not negated.  [default: detected]")
    @click.option("--examples", type=click.IntRange(min=8), default=96, help="Inputs to draw.  [default: 96]")
    @click.option("--expect", multiple=True, metavar="CHECK=REASON",
                  help="A check that fails, and why: exit code 0 as long as it does and no other.")  # fmt: skip
    @click.option("--html", type=click.Path(path_type=Path), default=None, metavar="FILE",
                  help="Write the report as one page of HTML, too.")  # fmt: skip
    @json_option
    @click.pass_context
    def audit(context: click.Context, name: str, target: str, strict: bool, expect: tuple[str, ...], html: Path | None,
              json_file: Path | None, **how: Any) -> None:  # fmt: skip
        _audit(context, kind, name, target, strict, expect, html, json_file, how)

    audit.help = f"""Hold {WHAT[kind]} against the reference.

    TARGET is module:function or path/to/file.py:function, in NumPy, autograd, CuPy, PyTorch or JAX; with --call it may be a
    class. Return a loss as it is; do not negate it. It runs in a process of its own.

    Exit code 0: it conforms, or follows another valid convention. 1: it does not.
    2: it could not be run.
    """
    return audit


def _audit(context: click.Context, kind: str, name: str, target: str, strict: bool, expect: tuple[str, ...],
           html: Path | None, json_file: Path | None, how: dict[str, Any]) -> None:  # fmt: skip
    need_time_limit(how["time_limit"])
    if html is not None:
        refuse_unwritable("--html", html)
    from dimref.audit import callables, checks, report
    from dimref.audit.contract import find
    from dimref.audit.loading import expression
    from dimref.audit.sandbox import Sandbox

    form = find(kind, name).form(how["form"])  # a wrong name is refused before anything is started
    if how["call"]:
        expression(how["call"], form.signature.arguments)
    expected = checks.expected_of(form, dict(map(_reason, expect)), "--expect")
    with status() as show:
        show(f"importing {target}")
        with Sandbox(
            target, how["framework"] or "", how["adapter"], how["time_limit"], how["memory_limit"], how["call"],
            how["dtype"] or "",
        ) as sandboxed:  # fmt: skip
            result = callables.audit(_Watched(sandboxed, show), kind, name, how["form"], how["examples"], how["seed"],
                                     how["loss"])  # fmt: skip
            found = checks.outcomes(result, strict, expected)
            if html is not None:
                _write_page(context, html, result, found)
    say_line = printer(json_file)
    say_line(report.text(result))
    for check, outcome in found.items():
        if outcome.expected:
            words = "fails, as expected" if outcome.as_expected else f"expected to fail, {outcome.status}"
            say_line(f"  {check}: {words}: {outcome.expected}")
    write_json(json_file, report.as_json(result))
    if result.verdict == callables.FAILED:
        context.exit(2)
    if not checks.passes(result, found, strict):
        context.exit(1)


def _reason(text: str) -> tuple[str, str]:
    """The check and the reason of "range=ticket 12"."""
    check, _, reason = text.partition("=")
    return check.strip(), reason.strip()


def _write_page(context: click.Context, file: Path, result: Any, found: Any) -> None:
    from dimref.audit import page
    from dimref.training.files import replace

    target, seed = context.params["target"], context.params["seed"]
    command = [*context.command_path.split(), *typed(context, "html", "json_file")]
    text = page.html(result, found, page.curve(result), target, shlex.join(command), seed)
    replace(file, text.encode())


class _Watched:
    """A target whose calls are counted on the terminal."""

    def __init__(self, target: Any, show: Callable[[str], None]) -> None:
        self.name, self._target, self._show, self._count = target.name, target, show, 0

    @property
    def framework(self) -> str:
        return str(self._target.framework)

    @property
    def takes(self) -> Any:
        return self._target.takes

    def call(self, signature: Any, inputs: Any) -> Any:
        self._count += 1
        if self._count % 10 == 0:
            self._show(f"{self.name}: {self._count} calls in {self.framework}")
        return self._target.call(signature, inputs)
