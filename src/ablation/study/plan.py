"""Loading of configuration files into a plan of runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, Literal

from pydantic import ValidationError

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipelines import check_channels, check_size
from ablation.augmentation.registry import Pipeline
from ablation.code import PACKAGE
from ablation.data.sources import check_source, source_of
from ablation.errors import InputError, nearest, shown_value
from ablation.models.families import Network, resolve_network
from ablation.models.families.base import NetworkSettings
from ablation.study.comparisons import Comparison, DeclaredError, Factorial, find_comparisons
from ablation.study.grid import PreparedData, Run, expand, prepared_data
from ablation.study.loading import Document, Place, read_yaml
from ablation.study.rubrics import Rubric
from ablation.study.schema import Config, Dataset, Experiment, Study
from ablation.study.validation import validate

CONFIG_FILE = Path("config/config.yaml")
CONFIG_FOLDERS = (Path("config"), PACKAGE.parents[1] / "config")
"""Where studies and rubrics are looked up: in the working directory, then in the checkout."""
# Names of studies that folders with other content have.
RESERVED = {
    "example": "reports/example holds the example report",
    **{
        name: f"results/{name} holds {content}"
        for name, content in {
            "archive": "exported results",
            "bench": "the benchmark of the speed",
            "checkpoints": "checkpoints",
            "data": "prepared data",
            "logs": "logs",
            "runs": "runs",
            "weights": "pretrained weights",
        }.items()
    },
}
MAX_RUNS = 10_000  # per study; Snakemake needs half a minute for so many

Declared = tuple[str, Experiment, Mapping[str, str], Document]  # with the pipelines of its file


@dataclass(frozen=True)
class PlannedExperiment:
    """An experiment, resolved.

    Attributes:
        name: its key in the study file.
        block: its block in the file.
        architectures: networks by name of the model.
        pipelines: resolved pipelines by label of the augmentation.
        runs: its runs, in the order of the file.
        comparisons: its comparisons, each once.
        factorials: its declared factorial grids.
        narrative: file with a text for the report, relative to the working directory; None without.
    """

    name: str
    block: Experiment
    architectures: dict[str, Network]
    pipelines: dict[str, Pipeline]
    runs: list[Run]
    comparisons: list[Comparison] = field(default_factory=list)
    factorials: list[Factorial] = field(default_factory=list)
    narrative: str | None = None

    @property
    def questions(self) -> int:
        """Number of comparisons; one and its reverse count once."""
        return len({comparison.question for comparison in self.comparisons})


@dataclass(frozen=True)
class Plan:
    """A study, resolved.

    Attributes:
        name: the study's name.
        study: content of the file.
        experiments: its experiments.
        rubric: its rubric; None without one.
        results: the folder of results, relative to the working directory.
    """

    name: str
    study: Study
    experiments: list[PlannedExperiment]
    rubric: Rubric | None = None
    results: str = "results"

    @property
    def tables(self) -> Path:
        """The folder of its tables."""
        return Path(self.results, self.name)

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return Path(self.results).with_name("reports")

    @property
    def runs(self) -> dict[str, Run]:
        """All runs by folder; experiments may share runs."""
        return {run.folder: run for experiment in self.experiments for run in experiment.runs}

    @property
    def data(self) -> dict[str, PreparedData]:
        """All prepared data sets by folder."""
        return {run.data.folder: run.data for run in self.runs.values()}

    @property
    def comparing(self) -> int:
        """Number of experiments with comparisons."""
        return sum(bool(experiment.comparisons) for experiment in self.experiments)

    @property
    def kept_weights(self) -> set[str]:
        """Folders of the runs whose weights are kept."""
        return {
            run.folder
            for experiment in self.experiments
            if experiment.block.keep_weights
            for run in experiment.runs
        }


def load_config(given: Mapping[str, Any] | None = None, file: Path | None = CONFIG_FILE) -> Config:
    """Read ``config/config.yaml``; keys ``given`` on the command line take precedence.

    Args:
        given: the keys.
        file: the file, which may be missing; None for the config of a module, which is ``given``.

    Raises:
        InputError: a key or value is wrong; the message names the file or the command line.
    """
    source = Path("--config" if file else "config")
    document = Document(file or source, {}, {})
    if file is not None and os.path.lexists(file):
        document = read_yaml(file)
    data = document.data if document.data is not None else {}
    if not isinstance(data, dict):
        raise InputError(f"{document.where(())}: must hold keys and values, such as 'study: NAME'")
    validate(Config, document, data)
    for key in given or {}:
        if not isinstance(key, str):
            raise InputError(f"{source}: a key must be text, not {shown_value(key)}")
    merged = {**data, **(given or {})}
    study = merged.get("study")
    if isinstance(study, int | float) and not isinstance(study, bool):  # `--config study=2024`
        number = shown_value(study)
        if _find("studies", number) is None:
            raise InputError(
                f"study {number}: config/studies/{number}.yaml not found; if the name only looks "
                "like a number, such as 007, write --config 'study=\"007\"'"
            )
        merged["study"] = number
    recheck = merged.get("recheck")
    if isinstance(recheck, int | float):
        raise InputError(
            f"recheck {shown_value(recheck)}: an id that only looks like a number is written "
            "--config 'recheck=\"00000000\"'"
        )
    config = validate(Config, Document(source, merged, {}), merged)
    if config.data_dir is not None:
        place = Document(source, merged, {}) if "data_dir" in (given or {}) else document
        _check_data_dir(config.data_dir, place)
    return config


def _check_data_dir(folder: str, document: Document) -> None:
    """Check that the data folder is a folder or missing."""
    problem = ""
    try:
        if not S_ISDIR(Path(folder).expanduser().stat().st_mode):
            problem = "is not a folder"
    except FileNotFoundError:
        return
    except (OSError, RuntimeError) as error:  # too long, or unknown user
        problem = getattr(error, "strerror", None) or str(error)
    if problem:
        raise document.error(("data_dir",), f"{folder[:200]!r}: {problem}")


def names(kind: Literal["studies", "rubrics"]) -> list[str]:
    """Return the names of all studies or rubrics, sorted."""
    files = chain.from_iterable((folder / kind).glob("*.yaml") for folder in CONFIG_FOLDERS)
    return sorted({file.stem for file in files})


def _find(kind: Literal["studies", "rubrics"], name: str) -> Path | None:
    """Return the file of a study or rubric; None without one."""
    files = (folder / kind / f"{name}.yaml" for folder in CONFIG_FOLDERS)
    return next(filter(os.path.lexists, files), None)


def load_plan(config: Config, results: str = "results") -> Plan:
    """Read the study that the config names and resolve it.

    Args:
        config: the config.
        results: the folder of results, relative to the working directory.

    Raises:
        InputError: the study is wrong; the message names file, line and place.
    """
    if config.study in RESERVED:
        raise InputError(
            f"study '{config.study}': {RESERVED[config.study]}; give the study another name"
        )
    file = _find("studies", config.study)
    if file is None:
        raise InputError(
            f"study '{config.study}': config/studies/{config.study}.yaml not found"
            f"{nearest(config.study, names('studies'))}"
        )
    document = read_yaml(file)
    study = validate(Study, document, document.data)
    rubric = _rubric(study, document)
    declared = [
        *_included(study, document, config.study),
        *_experiments(study, document),
    ]
    documents: dict[str, Document] = {}
    for name, _, _, origin in declared:
        if name in documents:
            place: Place = ("experiments", name) if origin is document else ("include",)
            raise document.error(place, f"experiment '{name}' is also in {documents[name].path}")
        documents[name] = origin
    experiments: list[PlannedExperiment] = []
    runs_left = MAX_RUNS
    for name, block, named, origin in declared:
        experiments.append(_plan_experiment(name, block, named, origin, config, results, runs_left))
        runs_left -= len(experiments[-1].runs)
    for experiment in experiments:
        _check_claims(experiment, experiments, documents[experiment.name])
        _check_sources(experiment, documents[experiment.name], config)
    return Plan(config.study, study, _compare(experiments, documents), rubric, results)


def _rubric(study: Study, document: Document) -> Rubric | None:
    """Return the rubric of a study."""
    if study.rubric is None:
        return None
    file = _find("rubrics", study.rubric)
    if file is None:
        hint = nearest(study.rubric, names("rubrics"))
        message = f"config/rubrics/{study.rubric}.yaml not found{hint}"
        raise document.error(("rubric",), message)
    origin = read_yaml(file)
    return validate(Rubric, origin, origin.data)


def _included(study: Study, document: Document, own: str) -> Iterator[Declared]:
    """Yield the experiments of included studies."""
    _refuse_duplicates(study.include, ("include",), document)
    for i, name in enumerate(study.include):
        place: Place = ("include", i)
        if name == own:
            raise document.error(place, f"study '{name}' includes itself; leave it out")
        file = _find("studies", name)
        if file is None:
            hint = nearest(name, [other for other in names("studies") if other != own])
            raise document.error(place, f"study '{name}' not found{hint}")
        origin = read_yaml(file)
        other = validate(Study, origin, origin.data)
        if own in other.include:
            raise document.error(place, f"{name} includes {own}; only one can include the other")
        if other.include:
            raise document.error(
                place,
                f"{name} includes other studies; include {', '.join(other.include)} instead",
            )
        yield from _experiments(other, origin)


def _experiments(study: Study, document: Document) -> Iterator[Declared]:
    """Yield the experiments in the file of a study, and check its named pipelines."""
    for name in study.pipelines:
        with _placed(document, ("pipelines", name)):
            parse_pipeline(name, study.pipelines)
    for name, block in study.experiments.items():
        yield name, block, study.pipelines, document


def _plan_experiment(
    name: str,
    block: Experiment,
    named: Mapping[str, str],
    document: Document,
    config: Config,
    results: str,
    runs_left: int,
) -> PlannedExperiment:
    place: Place = ("experiments", name)
    _refuse_duplicates([d.name for d in block.datasets], (*place, "datasets"), document)
    _refuse_duplicates([m.name for m in block.models], (*place, "models"), document)
    _refuse_duplicates(block.seeds, (*place, "seeds"), document)
    lists = (block.datasets, block.models, block.augmentations, block.seeds)
    if (size := prod(map(len, lists))) > runs_left:
        before = (
            "" if runs_left == MAX_RUNS else f", the experiments above {MAX_RUNS - runs_left:,}"
        )
        raise document.error(
            place, f"its grid has {size:,} runs{before}; a study has at most {MAX_RUNS:,}"
        )

    architectures = _architectures(block, place, document)
    pipelines = _pipelines(block, named, place, document)
    _refuse_same(architectures, (*place, "models"), "models", document)
    _refuse_same(pipelines, (*place, "augmentations"), "augmentations", document)
    data = {d.name: prepared_data(d, block.validation).settings for d in block.datasets}
    _refuse_same(data, (*place, "datasets"), "datasets", document)

    known: dict[str, list[Any]] = {
        "dataset": [d.name for d in block.datasets],
        "model": [m.name for m in block.models],
        "augmentation": list(pipelines),
        "seed": list(block.seeds),
    }
    for i, override in enumerate(block.overrides):
        if "seed" in override.where.given():
            at: Place = (*place, "overrides", i, "where", "seed")
            raise document.error(
                at,
                "settings must not differ between the seeds of a cell; leave the seed out",
            )
        _refuse_unknown(override.where.given(), known, (*place, "overrides", i, "where"), document)
    for i, cells in enumerate(block.exclude):
        _refuse_unknown(cells.given(), known, (*place, "exclude", i), document)

    try:
        runs = expand(block, architectures, pipelines, config.threads, results)
    except ValidationError as error:
        message = f"after the overrides, {error.errors()[0]['msg']}"
        raise document.error((*place, "overrides"), message) from None
    if not runs:
        raise document.error((*place, "exclude"), "excludes every cell; leave at least one run")
    if block.baseline:
        wanted = {k: [v] for k, v in block.baseline.model_dump(exclude_none=True).items()}
        _refuse_unknown(wanted, known, (*place, "baseline"), document)
        if not any(
            all(getattr(run, key) == values[0] for key, values in wanted.items()) for run in runs
        ):
            raise document.error((*place, "baseline"), "every run of the baseline is excluded")
    narrative = None
    if block.narrative is not None:
        narrative = (document.path.parent / block.narrative).as_posix()
        with _placed(document, (*place, "narrative")):
            _expect_plain("narrative", narrative)
            _expect("narrative", narrative, "file")
    return PlannedExperiment(name, block, architectures, pipelines, runs, narrative=narrative)


def _compare(
    experiments: list[PlannedExperiment], documents: Mapping[str, Document]
) -> list[PlannedExperiment]:
    """Add the comparisons of each experiment."""
    by_name = {experiment.name: experiment for experiment in experiments}
    compared = []
    for experiment in experiments:
        try:
            comparisons, factorials = find_comparisons(experiment, by_name)
        except DeclaredError as error:
            place = ("experiments", experiment.name, "comparisons", error.position)
            raise documents[experiment.name].error(place, error) from None
        compared.append(replace(experiment, comparisons=comparisons, factorials=factorials))
    return compared


def _architectures(
    block: Experiment, place: Place, document: Document
) -> dict[str, NetworkSettings]:
    architectures = {}
    for i, model in enumerate(block.models):
        with _placed(document, (*place, "models", i)):
            network = resolve_network(model.architecture or model.name, model.options)
            if network.weights not in (None, "imagenet"):
                _expect_plain("weights", network.weights)
                _expect("weights", network.weights, "file")
            for dataset in block.datasets:
                if (channels := _channels(dataset)) is not None:
                    network.check_channels(channels)
            architectures[model.name] = network
    return architectures


def _pipelines(
    block: Experiment, named: Mapping[str, str], place: Place, document: Document
) -> dict[str, Pipeline]:
    pipelines: dict[str, Pipeline] = {}
    augmentations = block.augmentations
    labelled = augmentations if isinstance(augmentations, dict) else {a: a for a in augmentations}
    if isinstance(augmentations, list):
        _refuse_duplicates(augmentations, (*place, "augmentations"), document)
    for i, (label, text) in enumerate(labelled.items()):
        key = label if isinstance(augmentations, dict) else i
        with _placed(document, (*place, "augmentations", key)):
            pipelines[label] = parse_pipeline(text, named)
            for dataset in block.datasets:
                _check_images(pipelines[label], dataset)
    return pipelines


@contextmanager
def _placed(document: Document, place: Place) -> Iterator[None]:
    """Add the place to the message of an error."""
    try:
        yield
    except InputError as error:
        raise document.error(place, error) from None


def _check_images(steps: Pipeline, dataset: Dataset) -> None:
    """Check that the steps accept images of this shape, as far as it is known."""
    known = source_of(dataset.source).known(dataset.source)
    channels = _channels(dataset)
    if channels is not None:
        check_channels(steps, channels)
    settings = prepared_data(dataset).settings
    own_size = known.size if known else None
    check_size(steps, settings.image_size or own_size, settings.stored_size)


def _channels(dataset: Dataset) -> int | None:
    """Return the number of channels of the prepared images; None if unknown."""
    known = source_of(dataset.source).known(dataset.source)
    return dataset.channels or (known.shape[2] if known else None)


def _expect_plain(key: str, path: str) -> None:
    """Check that Snakemake can use a path as an input."""
    if set("{}") & set(path) or path.startswith("-") or path != path.strip():
        raise InputError(
            f"{key}: {path[:200]!r}: Snakemake does not accept paths with {{ or }}, a leading - or "
            "surrounding spaces; rename the file"
        )


def _expect(key: str, path: str, kind: Literal["file", "folder"]) -> None:
    """Check that a file or folder exists."""
    problem = ""
    try:
        mode = Path(path).stat().st_mode
        exists = S_ISREG(mode) if kind == "file" else S_ISDIR(mode)
    except (FileNotFoundError, NotADirectoryError):
        exists = False
    except (OSError, ValueError) as error:  # too long, not permitted, or an invalid character
        exists, problem = False, f": {getattr(error, 'strerror', None) or error}"
    if not exists:
        raise InputError(f"{key}: {kind} {path[:200]!r} not found{problem}")


def _refuse_duplicates(values: list[Any], place: Place, document: Document) -> None:
    seen = set()
    for i, value in enumerate(values):
        if value in seen:
            raise document.error((*place, i), f"duplicate '{value}'")
        seen.add(value)


def _refuse_same(resolved: Mapping[str, Any], place: Place, what: str, document: Document) -> None:
    """Check that no two names have the same settings."""
    seen: dict[str, str] = {}
    for i, (name, settings) in enumerate(resolved.items()):
        text = repr(settings)
        if text in seen:
            key = name if (*place, name) in document.lines else i
            raise document.error(
                (*place, key), f"the {what} '{seen[text]}' and '{name}' are the same; leave one out"
            )
        seen[text] = name


def _refuse_unknown(
    wanted: Mapping[str, list[Any]],
    known: Mapping[str, list[Any]],
    place: Place,
    document: Document,
) -> None:
    for key, values in wanted.items():
        for value in values:
            if value not in known[key]:
                hint = nearest(value, [str(name) for name in known[key]])
                raise document.error((*place, key), f"the experiment has no {key} '{value}'{hint}")


def _check_claims(
    experiment: PlannedExperiment, experiments: list[PlannedExperiment], document: Document
) -> None:
    """Check that claims exist and are tested, and that the revisited experiment exists."""
    place: Place = ("experiments", experiment.name)
    block, by_name = experiment.block, {other.name: other for other in experiments}
    known = dict(block.claims)
    if block.revisits is not None:
        others = [name for name in by_name if name != experiment.name]
        if block.revisits not in others:
            at = (*place, "revisits")
            raise document.error(
                at,
                f"the study has no other experiment "
                f"'{block.revisits}'{nearest(block.revisits, others)}",
            )
        stated = by_name[block.revisits].block.claims
        for name in block.claims:
            if name in stated:
                at = (*place, "claims", name)
                raise document.error(
                    at,
                    f"{block.revisits}, which this experiment "
                    "revisits, has a claim of this name; leave it out here or rename it",
                )
        known |= stated
    for i, comparison in enumerate(block.comparisons):
        if comparison.claim is not None and comparison.claim not in known:
            at = (*place, "comparisons", i, "claim")
            raise document.error(
                at,
                f"the experiment has no claim '{comparison.claim}'"
                f"{nearest(comparison.claim, known)}",
            )
    tested = {comparison.claim for comparison in block.comparisons}
    for name in block.claims:
        if name not in tested:
            at = (*place, "claims", name)
            raise document.error(
                at, f"no comparison tests this claim; give one 'claim: {name}' and 'says: …'"
            )


def _check_sources(experiment: PlannedExperiment, document: Document, config: Config) -> None:
    """Check that sources and local images exist."""
    for i, dataset in enumerate(experiment.block.datasets):
        with _placed(document, ("experiments", experiment.name, "datasets", i)):
            check_source(dataset, config.data_dir)
            kind = source_of(dataset.source).path
            if kind is not None:
                _expect("path", str(dataset.path), kind)
