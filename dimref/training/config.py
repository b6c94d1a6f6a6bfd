"""A run's configuration: every option of `dimref train`, checked, written to the run and read back from it.

Loads no NumPy, since one of the options says with how many threads NumPy is to start.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimref.errors import DimrefError, nearest
from dimref.training import choices as choices_module
from dimref.training.files import read_text
from dimref.training.signals import killable

if TYPE_CHECKING:
    from dimref.training.method import AnyObjective

# The official code's critic and Adam (github.com/rdevon/DIM at bac4765, its README's `local` command): no prior.
_OFFICIAL: dict[str, Any] = {
    "local_scorer": "dot", "dot_critic": ",".join(choices_module.DOT_PIECES), "prior_weight": 0.0, "beta1": 0.5,
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "dim-local": {"global_weight": 0.0, "local_weight": 1.0, "prior_weight": 0.1},
    "dim-infonce": {"global_weight": 0.0, "local_weight": 1.0, "prior_weight": 0.1, "bound": "infonce"},
    "dim-global": {"global_weight": 1.0, "local_weight": 0.0, "prior_weight": 1.0, "global_map": "local"},
    "dim-mixed": {"global_weight": 0.5, "local_weight": 0.1, "prior_weight": 0.1, "global_map": "local"},
    "paper-jsd": _OFFICIAL,
    "paper-dv": {**_OFFICIAL, "bound": "dv"},
    "paper-infonce": {**_OFFICIAL, "bound": "infonce", "negatives": "all-locations"},
    "amdim": {"method": "amdim", "lr": 2e-4},
    "amdim-large": {"method": "amdim", "lr": 2e-4, "beta1": 0.8, "ndf": 320, "ndepth": 10, "nrkhs": 2560},
}

# The options that only one method has.
DIM_OPTIONS = (
    "bound", "local_scorer", "negatives", "candidates", "global_weight", "local_weight", "prior_weight", "prior",
    "prior_loss", "gradient_penalty", "dot_critic", "global_map",
)  # fmt: skip
READING = ("noise", "shared", "size", "skip_bad")  # how a dataset is read
AMDIM_OPTIONS = ("ndf", "ndepth", "nrkhs", "scales", "clip", "score_penalty", "augmentation")


@dataclass(frozen=True)
class Config:
    """The options of `dimref train`, with the defaults of the preset dim-local.

    `local_scorer` and `negatives` None mean the cheapest choice that fits, `dot_critic` None no piece of the official
    code's; `augmentation` None means the one for the size; `steps` None means all of the epochs; `checkpoint_every` None
    means as often as costs little.
    """

    data: str = "shapes"
    data_dir: str | None = None
    limit: int | None = None
    noise: float | None = None  # of shapes: 0.06
    shared: str | None = None  # of shapes: texture
    size: int | None = None  # that of the images of a folder
    skip_bad: bool = False  # of a folder
    backend: str = "numpy"
    method: str = "dim"
    bound: str = "jsd"
    local_scorer: str | None = None
    negatives: str | None = None
    candidates: int = 8
    global_weight: float = 0.0
    local_weight: float = 1.0
    prior_weight: float = 0.1
    prior: str = "uniform"
    prior_loss: str = "minimax"
    gradient_penalty: float = 0.0
    dot_critic: str | None = None
    global_map: str = "last"
    ndf: int = 32
    ndepth: int = 1
    nrkhs: int = 256
    scales: str = ",".join(choices_module.SCALES)
    clip: float = 20.0
    score_penalty: float = 0.05
    augmentation: str | None = None
    epochs: int = 2
    steps: int | None = None
    batch_size: int = 64
    lr: float = 1e-4
    beta1: float = 0.9
    seed: int = 0
    threads: int | None = None
    log_every: int = 20
    checkpoint_every: int | None = None
    keep: str = "both"
    graph: bool = True  # on a GPU
    tf32: bool = False  # on a GPU

    def __post_init__(self) -> None:
        _check_values(self)
        if self.method == "dim":
            _check_weights(self)
            _check_negatives(self)

    @property
    def preset(self) -> str:
        """The preset that has the same terms switched on."""
        if self.method == "amdim":
            return "amdim"
        if self.local_weight == 0:
            return "dim-global"
        return "dim-mixed" if self.global_weight else "dim-local"

    @property
    def critic(self) -> str:
        """The local critic: the one chosen; else dot for infonce, since it affords all pairs, and concat."""
        return self.local_scorer or ("dot" if self.bound == "infonce" else "concat")

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's β₁ and β₂."""
        return self.beta1, 0.999

    @property
    def checkpoint_steps(self) -> int:
        """Steps between checkpoints: as chosen; else about a minute's on a CPU, and a few seconds' on a GPU."""
        return self.checkpoint_every or (200 if self.backend == "numpy" else 5000)

    def total_steps(self, images: int) -> int:
        """Where a run on so many training images ends: after the epochs, or after --steps if that is earlier."""
        everything = self.epochs * (images // self.batch_size)
        return min(everything, self.steps or everything)

    def twice_as_long(self, step: int, images: int) -> str:
        """The options that end a run on so many images after twice as many steps."""
        epochs = -(-2 * step // max(1, images // self.batch_size))
        return f"--epochs {epochs}" + (f" --steps {2 * step}" if self.steps else "")

    @property
    def reading(self) -> dict[str, Any]:
        """The options that say how the dataset is read."""
        return {name: getattr(self, name) for name in READING}

    @property
    def samples_candidates(self) -> bool:
        """Whether a term of weight above 0 draws its candidates."""
        return self.method == "dim" and "sampled" in [
            self.negatives_of(t) for t in ("local", "global") if getattr(self, f"{t}_weight")
        ]

    def objective(self) -> AnyObjective:
        """The part of the configuration that the mathematics sees."""
        if self.method == "amdim":
            from dimref import amdim

            return amdim.Objective(tuple(self.scales.split(",")), self.clip, self.score_penalty, self.augmentation)
        from dimref.objectives import Objective

        return Objective(
            global_weight=self.global_weight,
            local_weight=self.local_weight,
            prior_weight=self.prior_weight,
            bound=self.bound,
            local_scorer=self.critic,
            local_negatives=self.negatives_of("local"),
            global_negatives=self.negatives_of("global"),
            candidates=self.candidates,
            prior=self.prior,
            prior_loss=self.prior_loss,
            gradient_penalty=self.gradient_penalty,
            dot=tuple(self.dot_critic.split(",")) if self.dot_critic and self.critic == "dot" else (),
            global_map=self.global_map,
        )

    def negatives_of(self, term: str) -> str:
        """The negatives of the "local" or the "global" term: those chosen, or the cheapest that fit bound and critic."""
        if self.negatives is not None:
            return self.negatives
        critic = self.critic if term == "local" else "concat"
        if self.bound != "infonce":
            return "all-pairs" if critic == "dot" else "shuffle"
        return "sampled" if critic == "concat" and term == "local" else "same-location"


def _check_values(config: Config) -> None:
    choices = {
        "data": choices_module.DATA,
        "backend": choices_module.BACKENDS,
        "bound": choices_module.BOUNDS,
        "local_scorer": (None, *choices_module.LOCAL_CRITICS),
        "negatives": (None, *choices_module.NEGATIVES),
        "global_map": choices_module.GLOBAL_MAPS,
        "keep": choices_module.KEPT,
        "prior": choices_module.PRIORS,
        "prior_loss": choices_module.PRIOR_LOSSES,
        "method": choices_module.METHODS,
        "augmentation": (None, *choices_module.AUGMENTATIONS),
    }
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            listed = ", ".join(str(a) for a in allowed if a)
            raise DimrefError(f"{_option(name)}: expected one of {listed}, found {getattr(config, name)!r}")
    smallest = {
        "limit": 1, "noise": 0, "size": 4, "candidates": 2, "global_weight": 0, "local_weight": 0, "prior_weight": 0,
        "gradient_penalty": 0, "epochs": 1, "steps": 1, "batch_size": 2, "seed": 0, "threads": 1, "log_every": 1,
        "checkpoint_every": 1, "ndf": 1, "ndepth": 1, "nrkhs": 1, "clip": 0, "score_penalty": 0,
    }  # fmt: skip
    for name, least in smallest.items():
        value = getattr(config, name)
        if value is not None and not least <= value < math.inf:
            raise DimrefError(f"{_option(name)}: expected a number of at least {least}, found {value}")
    if not 0 < config.lr < math.inf:
        raise DimrefError(f"--lr: expected a number above 0, found {config.lr}")
    if not 0 <= config.beta1 < 1:
        raise DimrefError(f"--beta1: expected a number of at least 0 and below 1, found {config.beta1}")
    for name, known in (("scales", choices_module.SCALES), ("dot_critic", choices_module.DOT_PIECES)):
        value = getattr(config, name)
        words = [] if value is None else value.split(",")
        if not set(words) <= set(known) or len(set(words)) < len(words):
            raise DimrefError(
                f"{_option(name)}: expected some of {', '.join(known)}, with commas between, found {value!r}"
            )


def _check_weights(config: Config) -> None:
    if config.global_weight == config.local_weight == 0:
        raise DimrefError(
            "--global-weight and --local-weight: one of them must be above 0, or there is nothing to learn"
        )
    if config.prior_weight == 0 and config.gradient_penalty:
        raise DimrefError("--gradient-penalty: it regularizes the prior's discriminator, but --prior-weight is 0")


def _check_negatives(config: Config) -> None:
    kind = config.negatives
    fits = choices_module.CANDIDATE_NEGATIVES if config.bound == "infonce" else choices_module.PAIR_NEGATIVES
    if kind is not None and kind not in fits:
        raise DimrefError(f"--negatives {kind}: --bound {config.bound} takes {', '.join(fits)}")
    if config.samples_candidates and config.candidates > config.batch_size:
        raise DimrefError(
            f"--candidates: expected at most the batch size ({config.batch_size}), since a batch has no more images, "
            f"found {config.candidates}"
        )
    if not config.local_weight:
        return
    if config.critic == "dot" and kind in ("shuffle", "roll", "sampled"):
        raise DimrefError(
            f"--negatives {kind}: the dot critic has all N² scores at the price of one matrix product; drawing some of them "
            f"saves nothing: use {'same-location' if config.bound == 'infonce' else 'all-pairs'}"
        )
    if config.critic == "concat" and kind in ("all-pairs", "same-location", "all-locations"):
        rows = config.batch_size**2 * 64
        # Of the 512×512 layer alone: two operations each, three times for forward and both gradients.
        gflop = rows * 512 * 512 * 2 * 3 / 1e9
        instead = "sampled" if config.bound == "infonce" else "shuffle"
        raise DimrefError(
            f"--negatives {kind}: the concat critic would evaluate {rows:,} pairs a step at 64 locations, about "
            f"{gflop:,.0f} GFLOP; use --local-scorer dot, or --negatives {instead}"
        )


# ---- files


def write(config: Config) -> str:
    """The configuration as JSON text, one option a line."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def chosen(source: str) -> dict[str, Any]:
    """The options of a preset, or those in a file.

    Raises:
        DimrefError: it is neither, or `read` refuses the file.
    """
    if source in PRESETS:
        return PRESETS[source]
    if not Path(source).exists():
        listed = ", ".join(PRESETS)
        raise DimrefError(f"{source}: expected a preset ({listed}) or a configuration file, found neither"
                          f"{nearest(source, PRESETS)}")  # fmt: skip
    return read(Path(source))


@killable()
def read(path: Path) -> dict[str, Any]:
    """The options in a JSON file, checked by name and type; some or all of them.

    Raises:
        DimrefError: the file cannot be read, is not a JSON object, or has an unknown option or a value of another type.
    """
    try:
        options = json.loads(read_text(path))
    except OSError as error:
        raise DimrefError(f"{path}: expected a configuration file, found: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DimrefError(f"{path}: expected JSON, found no text") from None
    except (ValueError, RecursionError) as error:
        raise DimrefError(f"{path}: expected JSON, found: {error}") from None
    return checked_types(options, str(path))


def checked_types(options: Any, source: str) -> dict[str, Any]:
    """`options` if they are a dict of options of the right types."""
    if not isinstance(options, dict):
        raise DimrefError(f"{source}: expected a JSON object of options, found {type(options).__name__}")
    kinds = {field.name: str(field.type) for field in dataclasses.fields(Config)}
    for name, value in options.items():
        if name not in kinds:
            raise DimrefError(
                f"{source}: expected options of dimref train, found the unknown option {name!r}{nearest(name, kinds)}"
            )
        if not _fits(value, kinds[name]):
            raise DimrefError(f"{source}: {name}: expected {kinds[name]}, found {repr(value)[:60]}")
    return options


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return kind.endswith("| None")
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if kind.startswith("str"):
        return isinstance(value, str)
    is_small = isinstance(value, int) and abs(value) < 1 << 1023  # a float can hold it; JSON's integers have no limit
    return is_small or (isinstance(value, float) and not kind.startswith("int"))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
