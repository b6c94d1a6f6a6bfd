"""Deep InfoMax and AMDIM as estimators in scikit-learn's manner: `DeepInfoMax(epochs=5).fit(images).transform(images)`.

The training is that of `dimref train`, step for step and bit for bit: a configuration, a task, `loop.train`. scikit-learn is
imported only where it asks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from dimref import data, engine
from dimref.backend import get_backend
from dimref.data.dataset import UNLABELLED, make
from dimref.data.npz import as_bytes, check_images
from dimref.errors import DimrefError
from dimref.export import inference
from dimref.training import checkpoint as checkpoints
from dimref.training import config as configs
from dimref.training import loop, run_directory
from dimref.training.checkpoint import Checkpoint
from dimref.training.config import PRESETS, Config
from dimref.training.files import replace
from dimref.training.loop import Progress
from dimref.training.state import restore
from dimref.training.task import Task, prepare

Images = Any  # an array, or the path of a folder of images or of an .npz file


@dataclass(eq=False, kw_only=True, repr=False)
class _Estimator:
    """What both methods share.

    Attributes, once fitted:
        checkpoint_: the state of the run on the host.
        held_out_: (step, {term: nats}) at the end of each epoch, on images held out of `fit`'s.
    """

    method: ClassVar[str]

    epochs: int = Config.epochs
    steps: int | None = Config.steps
    batch_size: int = Config.batch_size
    lr: float = Config.lr
    beta1: float = Config.beta1
    seed: int = Config.seed
    backend: str = Config.backend
    graph: bool = Config.graph
    tf32: bool = Config.tf32
    size: int | None = Config.size
    skip_bad: bool = Config.skip_bad
    feature: str = "y"
    log_every: int = Config.log_every
    checkpoint_every: int | None = Config.checkpoint_every
    run: str | Path | None = None
    progress: Callable[[Progress], None] | None = None

    # ---- parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters; ValueError names one that is unknown."""
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} of {type(self).__name__}: expected one of {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The call that makes it, without what is as by default."""
        changed = {f.name: value for f in dataclasses.fields(self) if (value := getattr(self, f.name)) != f.default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def _config(self, **more: Any) -> Config:
        names = {field.name for field in dataclasses.fields(Config)}
        options = {name: value for name, value in self.get_params().items() if name in names}
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
        with _value_errors():
            return Config(method=self.method, **configs.checked_types(plain, type(self).__name__), **more)

    # ---- fit, transform, score

    def fit(self, images: Images, y: Any = None, resume: bool = False) -> Self:
        """Train an encoder on images.

        Args:
            images: uint8, or floats in [0, 1], of shape (N, H, W) or (N, H, W, C), C = 1 or 3; or the path of a folder of
                images or of an .npz file. A tenth of them, at most 512, is held out.
            y: ignored.
            resume: go on from the state after the last `fit` or `load`, on the same images, until `epochs` are over.
        Raises:
            ValueError: a parameter or the images do not fit.
        """
        first = self._fitted() if resume else None
        dataset, config = self._read(images)
        with _value_errors():
            task = prepare(config, dataset)
        if first is not None and task.total_steps < first.step:
            raise ValueError(f"epochs, steps: expected an end at or after step {first.step}, found {task.total_steps}")
        self.held_out_: list[tuple[int, dict[str, float]]] = (
            self.held_out_ if resume and hasattr(self, "held_out_") else []
        )
        with self._directory(config, resume) as directory:
            loop.train(task, directory, self._watch, lambda: False, first)
            if (directory / run_directory.NEWEST).exists():
                self.checkpoint_ = checkpoints.load(directory / run_directory.NEWEST)
        return self

    def fit_transform(self, images: Images, y: Any = None) -> np.ndarray:
        """The features of the images that it is trained on."""
        return self.fit(images).transform(images)

    def transform(self, images: Images, feature: str | None = None) -> np.ndarray:
        """The features of images, float32 (N, features), in their order.

        Args:
            feature: "y", the representation; of Deep InfoMax also "fc", the layer below it, and "conv", the last map,
                flattened. By default the parameter `feature`.
        Raises:
            ValueError: the images or the name of the feature do not fit the encoder.
        """
        encoder, kind = self._encoder(), feature or self.feature
        if kind not in encoder.kinds:
            raise ValueError(f"feature: expected one of {', '.join(encoder.kinds)}, found {kind!r}")
        dataset, _ = self._read(images)
        with _value_errors():
            encoder.refuse_other_images(dataset.images, "images")
        return encoder.features(dataset.images, (kind,))[kind]

    def score(self, images: Images, y: Any = None) -> float:
        """The bound that was maximized, in nats, on images that were not trained on; larger is better.

        With several terms it is their weighted sum. `score_terms` has each. `y` is ignored.
        """
        terms = self.score_terms(images)
        return loop.weighted_bound(self.checkpoint_.config.objective(), terms)

    def score_terms(self, images: Images) -> dict[str, float]:
        """Every term in nats, with the same draws each time, on whole batches of at most `batch_size` images."""
        saved, (dataset, _) = self._fitted(), self._read(images)
        encoder = self._encoder()
        with _value_errors():
            encoder.refuse_other_images(dataset.images, "images")
        if len(dataset.images) < 2:
            raise ValueError(f"images: expected at least 2, to have negative pairs, found {len(dataset.images)}")
        objective, held = saved.config.objective(), dataset.images
        task = Task(saved.config, objective, encoder.layout, encoder.backend, "images", held, held)
        state = restore(
            task, Path("images"), dataclasses.replace(saved, meta={**saved.meta, "images": task.fingerprint})
        )
        with engine.sharing():
            return loop.held_out_terms(task, state)

    # ---- files

    def save(self, path: str | Path) -> None:
        """Write parameters, running statistics and Adam's moments as one .npz file, a checkpoint of `dimref train`."""
        checkpoints.save(Path(path), self._fitted())

    @classmethod
    def load(cls, path: str | Path, backend: str = "numpy") -> Self:
        """The fitted estimator that was saved in a file, or that `dimref train` left in a run directory.

        Raises:
            ValueError: it is of the other method. RunError: it cannot be read.
        """
        path = Path(path)
        path = path / run_directory.NEWEST if path.is_dir() else path
        _, saved = inference.load(path.parent, get_backend(backend), path.name)
        if saved.config.method != cls.method:
            raise ValueError(f"{path}: expected an encoder of {cls.__name__}, found method {saved.config.method!r}")
        names = inspect.signature(cls).parameters.keys() & {field.name for field in dataclasses.fields(Config)}
        loaded = cls(**{name: getattr(saved.config, name) for name in names}).set_params(backend=backend)
        loaded.checkpoint_ = saved
        return loaded

    # ---- for scikit-learn

    def __sklearn_tags__(self) -> Any:
        """A transformer without a target, of arrays of images."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` or `load` came before."""
        return hasattr(self, "checkpoint_")

    # ---- parts

    def _fitted(self) -> Checkpoint:
        if hasattr(self, "checkpoint_"):
            return self.checkpoint_
        line = f"This {type(self).__name__} is not fitted yet: call fit, or load"
        if "sklearn" in sys.modules:
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(line)
        raise ValueError(line)

    def _encoder(self) -> inference.Encoder:
        saved, backend = self._fitted(), get_backend(self.backend, self.tf32)
        layout = inference.layout_of(saved)
        trees = (saved.trees[part]["encoder"] for part in ("parameters", "state"))
        return inference.Encoder(layout, backend, *map(backend.tree_to_device, trees))

    def _read(self, images: Images) -> tuple[data.Dataset, Config]:
        """The images, and the configuration of a run on them."""
        keep = "newest" if self.run is None else "both"
        with _value_errors():
            if isinstance(images, str | Path):
                kind = "npz" if Path(images).is_file() else "folder"
                config = self._config(data=kind, data_dir=str(images), keep=keep)
                cache = None if self.run is None else Path(self.run).parent / run_directory.CACHE
                return data.load(kind, "train", images, **config.reading, cache=cache), config
            array = np.asarray(images)
            check_images("images", array.shape, array.dtype)
            array, notes = as_bytes("images", array)
            unlabelled = np.full(len(array), UNLABELLED, np.int64)
            made = make("npz", "train", np.ascontiguousarray(array), unlabelled, (), "of an array", notes)
            return made, self._config(data="npz", keep=keep)

    @contextlib.contextmanager
    def _directory(self, config: Config, resume: bool) -> Iterator[Path]:
        """The run directory; one that is removed at the end where none is to be kept."""
        if self.run is None:
            with tempfile.TemporaryDirectory(prefix="dimref-") as directory:
                yield Path(directory)
        elif resume:
            with run_directory.locked(Path(self.run)):
                replace(Path(self.run) / run_directory.CONFIG, configs.write(config).encode())
                yield Path(self.run)
        else:
            with run_directory.create(Path(self.run), config):
                yield Path(self.run)

    def _watch(self, progress: Progress) -> None:
        if progress.held_out is not None:
            self.held_out_.append((progress.step, progress.held_out))
        if self.progress is not None:
            self.progress(progress)


@dataclass(eq=False, kw_only=True, repr=False)
class DeepInfoMax(_Estimator):
    """Deep InfoMax (arXiv 1808.06670): α·global + β·local bound + γ·prior, maximized without labels.

    The parameters are the options of `dimref train`, with its defaults, those of DIM(L), and:
        feature: what `transform` returns. size, skip_bad: how a folder of images is read. run: a directory for
        checkpoints and metrics, as `dimref train` leaves one; None keeps the result in memory alone. progress: called
        with a `Progress` after each step.
    """

    method: ClassVar[str] = "dim"

    bound: str = Config.bound
    local_scorer: str | None = Config.local_scorer
    negatives: str | None = Config.negatives
    candidates: int = Config.candidates
    global_weight: float = Config.global_weight
    local_weight: float = Config.local_weight
    prior_weight: float = Config.prior_weight
    prior: str = Config.prior
    prior_loss: str = Config.prior_loss
    gradient_penalty: float = Config.gradient_penalty
    dot_critic: str | None = Config.dot_critic
    global_map: str = Config.global_map


@dataclass(eq=False, kw_only=True, repr=False)
class AMDIM(_Estimator):
    """Augmented multiscale Deep InfoMax (arXiv 1906.00910): two views of an image predict each other's maps.

    The parameters are the options of `dimref train --preset amdim`, with its defaults, and those of `DeepInfoMax` on
    features, folders, the run directory and progress.
    """

    method: ClassVar[str] = "amdim"

    lr: float = PRESETS["amdim"]["lr"]
    ndf: int = Config.ndf
    ndepth: int = Config.ndepth
    nrkhs: int = Config.nrkhs
    scales: str = Config.scales
    clip: float = Config.clip
    score_penalty: float = Config.score_penalty
    augmentation: str | None = Config.augmentation


@contextlib.contextmanager
def _value_errors() -> Iterator[None]:
    """Raise what is wrong with arguments as ValueError, in Python's names: local_scorer for --local-scorer."""
    try:
        yield
    except DimrefError as error:
        line = re.sub(r"--([a-z0-9][a-z0-9-]*)", lambda match: match[1].replace("-", "_"), str(error))
        raise ValueError(line) from None
