"""The command line as a whole: its ways in, its help, and a mistake told in one line."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import tiny_runs
from click.testing import CliRunner

from dimref import __version__
from dimref.cli import Group, main
from dimref.commands.train import SECTIONS, _refuse_idle_options, train
from dimref.errors import DimrefError
from dimref.training import choices
from dimref.training import config as configs
from dimref.training.config import PRESETS, Config

ROOT = Path(__file__).resolve().parents[1]


# ---- ways in


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "dimref"],
        [sys.executable, str(ROOT / "cli.py")],
        [str(Path(sys.executable).with_name("dimref"))],
    ],
    ids=["python -m dimref", "python cli.py", "dimref"],
)
def test_every_way_in_leads_to_the_same_commands(command, tmp_path):
    if not Path(command[0]).exists():
        pytest.skip("dimref is not installed: no console script")
    found = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout == f"dimref, version {__version__}\n"


@pytest.mark.parametrize(
    ("module", "line"), [("click", ""), *((name, "dimref: stopped\n") for name in ("dimref.commands.train", "numpy"))]
)
@pytest.mark.parametrize(
    "command", [["-m", "dimref"], [str(ROOT / "cli.py")]], ids=["python -m dimref", "python cli.py"]
)
def test_an_interrupt_while_it_is_imported_ends_it_quietly(command, module, line, tmp_path):
    """Within a text that is executed, as by dataclasses: from there KeyboardInterrupt itself would end Python by SIGINT."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\nclass Finder:\n    def find_spec(self, name, *args):\n"
        f"        if name == {module!r}:\n            exec('os.kill(os.getpid(), signal.SIGINT)')\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    arguments = ["train", "--data", "npz", "--data-dir", "none"]
    found = subprocess.run([sys.executable, *command, *arguments], capture_output=True, text=True, check=False, env=env)
    assert (found.returncode, found.stdout, found.stderr) == (130, "", line)


def test_no_command_shows_the_help():
    for args in ([], ["-h"], ["--help"]):
        result = tiny_runs.invoke(*args)
        assert "train" in result.output
        assert "info" in result.output


def test_every_option_has_help_and_the_specified_ones_are_there():
    options = {name: p.help for p in train.params for name in (*p.opts, *p.secondary_opts)}
    assert all(options.values())
    wanted = """--data --data-dir --limit --backend --bound --local-scorer --negatives --global-weight --local-weight
    --prior-weight --prior --epochs --steps --batch-size --lr --seed --out --resume --config --threads --plot --no-plot
    --preset --quiet --probe --no-probe --verbose -o -q -v"""
    assert set(wanted.split()) <= options.keys()


def test_help_lists_every_choice():
    text = " ".join(tiny_runs.invoke("train", "--help").output.split())
    for values in (
        tuple(PRESETS), choices.DATA, choices.BACKENDS, choices.BOUNDS, choices.LOCAL_CRITICS, choices.NEGATIVES,
        choices.PRIORS, choices.PRIOR_LOSSES,
    ):  # fmt: skip
        for value in values:
            assert value in text
    assert "[numpy|cupy]" in text


def test_a_wrong_choice_is_refused_with_the_right_ones():
    result = tiny_runs.invoke("train", "--bound", "smile")
    assert result.exit_code == 2
    assert "'jsd', 'dv', 'mine', 'nwj', 'infonce'" in result.stderr


@pytest.mark.parametrize("args", [["--seed", "1e3"], ["--lr", "fast"], ["--seed"], ["--what"], ["extra"]])
def test_what_is_no_option_or_no_number_is_refused(args):
    assert tiny_runs.invoke("train", *args).exit_code == 2


# ---- mistakes


def failing(error):
    """A command line whose only command raises `error`."""

    @click.group(cls=Group)
    def group():
        pass

    @group.command()
    def go():
        raise error

    return CliRunner().invoke(group, ["go"])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DimrefError("a: expected b, found c"), 2, "dimref: a: expected b, found c\n"),
        (DimrefError("a\nb: expected c"), 2, "dimref: a b: expected c\n"),
        (KeyboardInterrupt(), 130, "dimref: stopped\n"),
        (MemoryError(), 2, "lower --batch-size or --limit\n"),
        (OSError(28, "No space left on device"), 2, "found: No space left on device\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "dimref: /x: expected to read or write it, found: Perm"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, code, line):
    result = failing(error)
    assert result.exit_code == code
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_a_terminal_would_obey_is_printed_as_an_escape():
    """The colour, the title and the bell of a terminal; a turned line; a name in another script stays as it is."""
    text = "a\x1b[31m\x1b]0;owned\x07\x9b1m\u202e\udcff: erwartet ü Ω 漢, found\tb\rc"
    line = failing(DimrefError(text)).stderr
    assert line == "dimref: a\\x1b[31m\\x1b]0;owned\\x07\\x9b1m\\u202e\\udcff: erwartet ü Ω 漢, found\\tb c\n"
    line = failing(OSError(2, "no\x1b[31m", "file\x1b[2J")).stderr
    assert line == "dimref: file\\x1b[2J: expected to read or write it, found: no\\x1b[31m\n"
    assert "\x1b" not in tiny_runs.invoke("train", "\x1b[2Jx").stderr
    assert "\x1b" not in tiny_runs.invoke("\x1b[2Jx").stderr


def test_a_message_of_megabytes_keeps_its_start_and_its_end():
    line = failing(DimrefError(f"a.npz: expected b, found {'x' * 5_000_000}; type c")).stderr
    assert line.startswith("dimref: a.npz: expected b, found xxx")
    assert "… (4,999,1" in line
    assert line.endswith("xxx; type c\n")
    assert len(line) < 1050


def test_a_fault_of_dimrefs_own_keeps_its_traceback():
    assert isinstance(failing(ZeroDivisionError()).exception, ZeroDivisionError)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_an_output_that_takes_no_more_is_one_line():
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [*tiny_runs.DIMREF, "info"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env={**os.environ}
        )
    assert "Traceback" not in found.stderr
    assert found.returncode != 0


def test_a_reader_that_leaves_ends_the_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run([*tiny_runs.DIMREF, "info"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert found.returncode == 141  # 1 would be an answer
    assert found.stderr == ""


def test_an_output_that_knows_ascii_alone_gets_it_all_the_same():
    child = tiny_runs.process("train", "--help", env={"PYTHONIOENCODING": "ascii:replace", "LC_ALL": "C"})
    assert child.returncode == 0


@pytest.mark.parametrize("path", [(), ("audit",), ("audit", "trace")], ids=" ".join)
def test_a_group_lists_each_command_on_a_line_that_fits(path):
    group = main
    for name in path:
        group = group.get_command(click.Context(group), name)
    text = tiny_runs.invoke(*path, "--help").output
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    names = [line.split()[0] for line in listed]
    assert names == group.list_commands(click.Context(group))
    assert not [line for line in listed if line.endswith("...")]
    assert all(group.get_command(click.Context(group), name).name == name for name in names)


def test_the_examples_of_train_are_right_and_every_option_stands_in_a_section():
    text = tiny_runs.invoke("train", "--help").output
    examples = [line.split()[2:] for line in text.splitlines() if line.startswith("  dimref train ")]
    assert len(examples) == len(SECTIONS) == 5
    for words in examples:
        typed = train.make_context("train", list(words)).params
        config = Config(**{**configs.chosen(typed["preset"] or "dim-local"),
                           **{n: v for n, v in typed.items() if n in vars(Config()) and v is not None}})  # fmt: skip
        _refuse_idle_options(config, {name: 1 for name in typed if f"--{name.replace('_', '-')}" in words})
    titles = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [f"{title}:" for title, _ in SECTIONS.values()]


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["trian"], "train"),
        (["train", "--preset", "dim-lokal"], "dim-local"),
        (["train", "--bound", "infonec"], "infonce"),
        (["audit", "bound", "infonec", "x.py:f"], "infonce"),
        (["audit", "bound", "infonce", "x.py:f", "--form", "matrx"], "matrix"),
        (["equations", "1808.0667"], "1808.06670"),
        (["check", "--laws", "dv_below_informatoin"], "dv_below_information"),
        (["evaluate", "RUN", "--probe", "liner"], "linear"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_one_that_may_be_meant(args, meant, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    result = tiny_runs.invoke(*[run if arg == "RUN" else arg for arg in args])
    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("words", "expected"), [("dimref tr", "train"), ("dimref train --preset dim-i", "dim-infonce")]
)
def test_a_shell_can_complete_names(words, expected):
    env = {"_DIMREF_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    assert CliRunner().invoke(main, prog_name="dimref", env=env).output == f"plain,{expected}\n"
    assert "_DIMREF_COMPLETE=bash_source dimref" in tiny_runs.invoke("--help").output


# ---- where output goes


def test_a_full_disk_under_the_help_is_one_line():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    for args in (["--help"], ["--version"], ["train", "--help"]):
        with open("/dev/full", "w") as full:
            found = subprocess.run(
                [*tiny_runs.DIMREF, *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert found.returncode == 2, args
        (line,) = found.stderr.splitlines()
        assert "No space left on device" in line


@pytest.mark.parametrize("encoding", ["latin1", "utf-8"])
def test_what_the_terminal_cannot_show_is_written_in_escapes(tmp_path, encoding):
    place = os.fsdecode(os.fsencode(tmp_path) + b"/no\xffwhere")
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    found = subprocess.run([*tiny_runs.DIMREF, "train", "--help"], capture_output=True, env=env, check=True)
    assert "--epochs" in found.stdout.decode(encoding)
    found = subprocess.run([*tiny_runs.DIMREF, "encode", place], capture_output=True, env=env, check=False)
    assert found.returncode == 2
    (line,) = found.stderr.decode(encoding).splitlines()
    assert line.startswith("dimref: no run directory")
    assert line.endswith("where")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_result_does_not_take_the_place_of_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "expected a file, found a device or a pipe" in tiny_runs.refused(
        "check", "--laws", "jsd", "--json", tmp_path / "pipe"
    )
