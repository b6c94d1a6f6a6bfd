"""The command line. NumPy is loaded inside the commands, after `--threads` has taken effect."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

import click

from dimref import __version__
from dimref.commands.options import say
from dimref.distributed import launch
from dimref.errors import DimrefError, nearest, printable
from dimref.training.signals import stopped_by_signals

COMMANDS = {  # each with its line in the list; its file in `dimref/commands` is imported when it is called
    "train": "Learn a representation of images by Deep InfoMax or AMDIM.",
    "report": "Write a run as one page of HTML.",
    "plot": "Draw a run's pictures into its directory.",
    "evaluate": "Evaluate a run's encoder: probes, and measures of y.",
    "encode": "Write a dataset's features as a .npy file.",
    "export": "Write an encoder's weights under documented names.",
    "estimate": "Estimate the mutual information of x and y, in nats.",
    "audit": "Hold another implementation against this one.",
    "check": "Try every law of the theory on this machine.",
    "equations": "Print function, law and oracle test of an equation.",
    "bench": "Time a training step beside the same step in PyTorch.",
    "hardware": "Check --backend cupy on this machine's GPU.",
    "info": "Print backend, device, BLAS, threads and versions.",
}
COMPLETION = """Completion of commands, options and their values:

\b
  bash  eval "$(_DIMREF_COMPLETE=bash_source dimref)"       in ~/.bashrc
  zsh   eval "$(_DIMREF_COMPLETE=zsh_source dimref)"        in ~/.zshrc
  fish  _DIMREF_COMPLETE=fish_source dimref | source        in ~/.config/fish/config.fish"""
SHARED = ("train", "encode", "evaluate")  # what several ranks do together
BROKEN_PIPE = 141  # a shell's exit code of a program ended by the signal of a broken pipe


class Group(click.Group):
    """A group of commands that reports an error in one line and exits with its code, never with a traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Parse and run, whatever characters of a name the terminal cannot show."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        if launch.rank() > 0:  # what all ranks would print, rank 0 does
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        try:
            return super().main(*args, **options)
        except OSError as error:  # of the group's own help, which is printed before a command is invoked
            _report(f"output: expected to write it, found: {error.strerror or error}")
            sys.exit(2)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command line as typed, to start it on several ranks."""
        ctx.obj = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command, which shares its work where mpiexec started several processes of it."""
        name, command, rest = super().resolve_command(ctx, args)
        if launch.started() > 1 and name not in SHARED:
            raise DimrefError(
                f"mpiexec: expected one of {', '.join(SHARED)}, which share work among {launch.started()} processes, "
                f"found {name}; start it without mpiexec"
            )
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and report what ended it; a signal ends it as Ctrl-C does."""
        try:
            with stopped_by_signals():
                return super().invoke(ctx)
        except DimrefError as error:
            _report(str(error))
            ctx.exit(error.exit_code)
        except click.ClickException as error:  # click prints it, with what was typed in it
            error.message = printable(error.message)  # type: ignore[misc]
            if launch.rank() > 0:
                ctx.exit(error.exit_code)
            raise
        except KeyboardInterrupt:
            _report("stopped")
            ctx.exit(130)
        except MemoryError:
            _report("memory: expected enough for the arrays, found none left; lower --batch-size or --limit")
            ctx.exit(2)
        except BrokenPipeError:  # the reader of a pipe is gone, as in `dimref train | head`
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more
            ctx.exit(BROKEN_PIPE)
        except OSError as error:
            _report(f"{error.filename or 'output'}: expected to read or write it, found: {error.strerror or error}")
            ctx.exit(2)


def _report(text: str) -> None:
    """One line, whatever line breaks a path in it may have, of rank 0."""
    if launch.rank() > 0:
        return
    with contextlib.suppress(OSError):  # there is nobody to read it
        say("dimref: " + " ".join(text.splitlines()), err=True)


class Commands(Group):
    """`COMMANDS`: to list them imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from its file."""
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:
                return None
            raise click.UsageError(f"No such command {cmd_name!r}{nearest(cmd_name, COMMANDS)}", ctx)
        file = {"report": "run_report"}.get(cmd_name, cmd_name)  # report.py is what train prints
        command: click.Command = getattr(importlib.import_module(f"dimref.commands.{file}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Commands, context_settings=SETTINGS, epilog=COMPLETION)
@click.version_option(__version__, "-v", "--version", prog_name="dimref")
def main() -> None:
    """The reference implementation of Deep InfoMax (arXiv 1808.06670)."""
