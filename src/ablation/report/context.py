"""What a report says: the one context from which the page and the Markdown are rendered."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ablation.report.figures import (
    Arm,
    ArmStyles,
    arm_names,
    draw_curves,
    draw_results,
    png,
    strip,
    tiles,
)
from ablation.report.inputs import Inputs
from ablation.report.text import (
    NO_BREAK,
    NOTHING,
    OPTIMISTIC,
    counted,
    duration,
    magnitude,
    number,
    percent,
    points,
    setting,
    shape,
    slug,
)

PARTS = {
    "answer": "Answer",
    "evidence": "Evidence",
    "problem": "Problems seen",
    "open": "What stays open",
}
MIXED_LABELS = (
    "training loss and training accuracy under mixed labels are not comparable with those of the "
    "other arms; compare the validation curves and the clean training accuracy."
)
_STATUS = {
    "completed": "completed",
    "stopped_early": "stopped early",
    "diverged": "diverged",
}
_VERDICTS = {
    "better": "more accurate than",
    "worse": "less accurate than",
    "unclear": "no clear difference from",
}
_BASES = {
    "images": "Intervals over the test images speak of these trained networks only, not of other "
    "seeds.",
    "seeds": "Intervals over the seeds speak of the arms.",
}


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are set to the right, code in its own face, prose wide."""

    title: str
    numeric: bool = False
    code: bool = False
    prose: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        id: its anchor.
        caption: what it shows.
        columns: its columns.
        rows: its cells as text.
        headers: how many leading cells of a row name the row.
        marked: numbers of the rows that stand out.
        notes: what has to be known to read it.
    """

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    headers: int = 1
    marked: frozenset[int] = frozenset()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """An image as bytes; ``alt`` tells in words what it shows."""

    content: bytes
    kind: str
    alt: str
    caption: str = ""

    @property
    def uri(self) -> str:
        """The image as a ``data:`` address."""
        kind = {"svg": "svg+xml"}.get(self.kind, self.kind)
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        id: its anchor and the name of its file.
        short: its name in the navigation.
        caption: what it shows.
        picture: the image, whole, as the Markdown shows it.
        tiles: the images one by one with their captions, where the page shows them so.
        code: the pipeline behind it.
        notes: what has to be known to read it.
        data: the numbers behind it.
    """

    id: str
    short: str
    caption: str
    picture: Picture
    tiles: Sequence[Picture] = ()
    code: str = ""
    notes: Sequence[str] = ()
    data: Table | None = None

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.id}.{self.picture.kind}"


@dataclass(frozen=True)
class Group:
    """Findings of one part."""

    part: str
    title: str
    texts: Sequence[str]


@dataclass(frozen=True)
class ExperimentView:
    """An experiment as the report shows it."""

    id: str
    name: str
    question: str
    optimistic: bool
    scope: str
    findings: Sequence[Group]
    results: Sequence[Drawing]
    tables: Sequence[Table]
    curves: Sequence[Drawing]
    training: Table
    overrides: Sequence[str]


@dataclass(frozen=True)
class ImagesView:
    """A data set's samples and what each augmentation does to them."""

    id: str
    dataset: str
    drawings: Sequence[Drawing]


@dataclass(frozen=True)
class ModelView:
    """A network in full."""

    id: str
    name: str
    stages: Table
    settings: str
    summary: str


@dataclass(frozen=True)
class Report:
    """Everything that a report says, in its order."""

    study: str
    title: str
    description: Sequence[str]
    summary: Sequence[Group]
    optimistic: str
    experiments: Sequence[ExperimentView]
    images: Sequence[ImagesView]
    model_table: Table
    models: Sequence[ModelView]
    runs: Table
    command: str
    warnings: Sequence[str]
    method: Sequence[str]
    provenance: Table
    data_table: Table
    splits: Table
    citations: Sequence[tuple[str, str]]
    optimistic_note: str = OPTIMISTIC

    @property
    def drawings(self) -> list[Drawing]:
        """Every figure, in order."""
        of_experiments = [d for e in self.experiments for d in (*e.results, *e.curves)]
        return of_experiments + [d for images in self.images for d in images.drawings]


@dataclass
class _Numbering:
    """Gives anchors that are unique, and numbers to figures and tables in their order."""

    taken: set[str] = field(default_factory=set)
    figures: int = 0
    tables: int = 0

    def anchor(self, *words: str) -> str:
        wanted = "-".join(map(slug, words))
        anchor, again = wanted, 1
        while anchor in self.taken:
            again += 1
            anchor = f"{wanted}-{again}"
        self.taken.add(anchor)
        return anchor

    def figure(self) -> str:
        self.figures += 1
        return f"Figure {self.figures}."

    def table(self) -> str:
        self.tables += 1
        return f"Table {self.tables}."


def build_context(inputs: Inputs) -> Report:
    """Make the context of a report: every text, table and figure, in the report's order."""
    analysis = inputs.analysis
    numbering = _Numbering()
    styles = ArmStyles(analysis["experiments"])
    optimistic = {e["name"] for e in analysis["experiments"] if e["validation"] == "test"}
    provenance = analysis["provenance"]
    return Report(
        study=analysis["study"],
        title=analysis["title"],
        description=[text for text in analysis["description"].split("\n\n") if text.strip()],
        summary=_groups(analysis["summary"]),
        optimistic=_of_some(optimistic) if optimistic else "",
        experiments=[_experiment(e, inputs, styles, numbering) for e in analysis["experiments"]],
        images=_images(inputs.gallery, numbering),
        model_table=_model_table(inputs.models, numbering),
        models=[_model(model, numbering) for model in inputs.models],
        runs=_runs(inputs.runs, optimistic, numbering),
        command=provenance["command"],
        warnings=provenance["warnings"],
        method=analysis["method"],
        data_table=_data(provenance["data"], numbering),
        splits=_splits(provenance["data"], numbering),
        citations=[
            (data["dataset"], data["citation"]) for data in provenance["data"] if data["citation"]
        ],
        provenance=_provenance(provenance, numbering),
    )


def _groups(findings: Sequence[Mapping[str, str]]) -> list[Group]:
    return [
        Group(part, title, texts)
        for part, title in PARTS.items()
        if (texts := [finding["text"] for finding in findings if finding["part"] == part])
    ]


def _experiment(
    block: Mapping[str, Any], inputs: Inputs, styles: ArmStyles, numbering: _Numbering
) -> ExperimentView:
    name, optimistic = block["name"], block["validation"] == "test"
    anchor = numbering.anchor("experiment", name)
    results, tables, curves = [], [], []
    for dataset in block["datasets"]:
        cells = [cell for cell in block["cells"] if cell["dataset"] == dataset]
        if not cells:
            continue
        runs = _rows_of(inputs.runs, name, dataset)
        epochs = _rows_of(inputs.curves, name, dataset)
        results.append(_results(block, dataset, cells, runs, styles=styles, numbering=numbering))
        tables.append(_ablation_table(block, dataset, cells, numbering))
        arms = [(cell["model"], cell["augmentation"]) for cell in cells]
        if all(len(set(names)) > 1 for names in zip(*arms, strict=True)):
            tables.append(_cross_table(block, dataset, cells, numbering))
        curves.append(_curves(block, dataset, cells, epochs, styles=styles, numbering=numbering))
    seeds = ", ".join(map(str, block["seeds"]))
    scope = (
        f"{counted(len(block['models']), 'model')} × "
        f"{counted(len(block['augmentations']), 'augmentation')} on "
        f"{', '.join(block['datasets'])}; {counted(len(block['seeds']), 'seed')} ({seeds}); "
        f"{counted(block['training']['epochs'], 'epoch')}."
    )
    return ExperimentView(
        id=anchor,
        name=name,
        question=block["question"],
        optimistic=optimistic,
        scope=scope,
        findings=_groups(block["findings"]),
        results=results,
        tables=tables,
        curves=curves,
        training=_settings_table(block, numbering),
        overrides=block["overrides"],
    )


def _rows_of(table: pd.DataFrame, experiment: str, dataset: str) -> pd.DataFrame:
    return table[(table["experiment"] == experiment) & (table["dataset"] == dataset)]


def _results(
    block: Mapping[str, Any],
    dataset: str,
    cells: Sequence[Mapping[str, Any]],
    runs: pd.DataFrame,
    *,
    styles: ArmStyles,
    numbering: _Numbering,
) -> Drawing:
    optimistic = block["validation"] == "test"
    differences = any(cell["difference"] for cell in cells)
    caption = (
        f"{numbering.figure()} Test accuracy on {dataset} in experiment {block['name']}: pale dots "
        "are runs, dark marks the means over seeds"
        + (
            "; on the right the differences to the reference (hollow) with their 95 % intervals"
            * differences
        )
        + "."
    )
    return Drawing(
        id=numbering.anchor("results", block["name"], dataset),
        short=f"Results on {dataset}",
        caption=caption,
        picture=Picture(
            draw_results(cells, runs, styles, optimistic),
            "svg",
            f"Test accuracy on {dataset}, mean over seeds: {_accuracies(cells, 'test_accuracy')}."
            + " † Optimistic: the test split was used for validation." * optimistic,
        ),
        notes=[OPTIMISTIC] if optimistic else [],
    )


def _accuracies(cells: Sequence[Mapping[str, Any]], measure: str) -> str:
    """Tell the mean of a measure for every cell, in words for who cannot see the figure."""
    names = arm_names([_arm(cell) for cell in cells])
    told = []
    for cell in cells:
        value = cell["measures"][measure]
        told.append(f"{names[_arm(cell)]} " + (_mean(value) + " %" if value else "diverged"))
    return ", ".join(told)


def _arm(cell: Mapping[str, Any]) -> Arm:
    return (cell["model"], cell["augmentation"])


def _mean(value: Mapping[str, Any] | None) -> str:
    return percent(value["mean"]) if value else NOTHING


def _mean_and_spread(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return NOTHING
    return _mean(value) + (
        f"{NO_BREAK}±{NO_BREAK}{percent(value['sd'])}" if value["sd"] is not None else ""
    )


def _score(cell: Mapping[str, Any]) -> str:
    value = cell["measures"]["test_accuracy"]
    return _mean_and_spread(value) if value else "every run diverged"


def _remarks(cell: Mapping[str, Any]) -> str:
    """Tell in words what the numbers of a cell hide: runs that diverged or stopped early."""
    runs, remarks = counted(cell["runs"], "run"), []
    if 0 < cell["diverged"] < cell["runs"]:
        remarks.append(f"{cell['diverged']} of {runs} diverged; means are over the others")
    if cell["stopped_early"]:
        epochs = cell["measures"]["epochs"]
        after = f" (mean {number(epochs['mean'], 1)} epochs)" if epochs else ""
        remarks.append(f"{cell['stopped_early']} of {runs} stopped early{after}")
    return "; ".join(remarks)


def _mark(title: str, optimistic: bool) -> str:
    return f"{title} †" if optimistic else title


def _ablation_table(
    block: Mapping[str, Any],
    dataset: str,
    cells: Sequence[Mapping[str, Any]],
    numbering: _Numbering,
) -> Table:
    optimistic = block["validation"] == "test"
    compared = any(cell["difference"] or cell["is_baseline"] for cell in cells)
    remarked = any(_remarks(cell) for cell in cells)
    columns = [
        Column("Model"),
        Column("Augmentation"),
        Column(_mark("Test accuracy, %", optimistic), numeric=True),
        Column("Seeds", numeric=True),
    ]
    if compared:
        columns += [
            Column(_mark("Difference, points (95 % interval)", optimistic), numeric=True),
            Column("Verdict", prose=True),
        ]
    columns += [
        Column(_mark("Validation accuracy, last, %", optimistic), numeric=True),
        Column(_mark("Validation accuracy, best, %", optimistic), numeric=True),
        Column("Clean training accuracy, %", numeric=True),
        Column("Minutes a run", numeric=True),
    ]
    if remarked:
        columns.append(Column("Remarks", prose=True))
    rows: list[list[str]] = []
    marked: set[int] = set()
    for cell in cells:
        measures, test = cell["measures"], cell["measures"]["test_accuracy"]
        row = [cell["model"], cell["augmentation"], _score(cell), str(test["n"] if test else 0)]
        if compared:
            row += [_difference(cell), _verdict(cell)]
        seconds = measures["seconds"]
        row += [
            _mean(measures["val_accuracy_last"]),
            _mean(measures["val_accuracy_best"]),
            _mean(measures["train_accuracy_clean"]),
            number(seconds["mean"] / 60 if seconds else None),
        ]
        if remarked:
            row.append(_remarks(cell))
        if cell["is_baseline"]:
            marked.add(len(rows))
        rows.append(row)
    bases = dict.fromkeys(cell["difference"]["basis"] for cell in cells if cell["difference"])
    notes = [
        "Mean ± standard deviation over seeds, of the networks as training left them; the best "
        "validation accuracy is told for comparison only.",
        *(_BASES[basis] for basis in bases),
    ]
    return Table(
        id=numbering.anchor("table", block["name"], dataset),
        caption=f"{numbering.table()} Ablation table of experiment {block['name']} on {dataset}.",
        columns=columns,
        rows=rows,
        headers=2,
        marked=frozenset(marked),
        notes=[*notes, OPTIMISTIC] if optimistic else notes,
    )


def _difference(cell: Mapping[str, Any]) -> str:
    found = cell["difference"]
    if not found:
        return NOTHING
    interval = f"({points(found['low'])} to {points(found['high'])})".replace(" ", NO_BREAK)
    return f"{points(found['mean'])} {interval}"


def _verdict(cell: Mapping[str, Any]) -> str:
    if cell["difference"]:
        found = cell["difference"]
        return f"{_VERDICTS[found['verdict']]} {found['reference']}"
    return "baseline" if cell["is_baseline"] else "not compared"


def _cross_table(
    block: Mapping[str, Any],
    dataset: str,
    cells: Sequence[Mapping[str, Any]],
    numbering: _Numbering,
) -> Table:
    optimistic = block["validation"] == "test"
    by_arm = {_arm(cell): _score(cell) for cell in cells}
    models = list(dict.fromkeys(model for model, _ in by_arm))
    labels = list(dict.fromkeys(label for _, label in by_arm))
    return Table(
        id=numbering.anchor("cross", block["name"], dataset),
        caption=f"{numbering.table()} "
        + _mark(f"Test accuracy in % on {dataset}, models by augmentations", optimistic)
        + ".",
        columns=[Column("Model"), *(Column(label, numeric=True) for label in labels)],
        rows=[
            [model, *(by_arm.get((model, label), "not run") for label in labels)]
            for model in models
        ],
        notes=[OPTIMISTIC] if optimistic else [],
    )


def _curves(
    block: Mapping[str, Any],
    dataset: str,
    cells: Sequence[Mapping[str, Any]],
    epochs: pd.DataFrame,
    *,
    styles: ArmStyles,
    numbering: _Numbering,
) -> Drawing:
    optimistic = block["validation"] == "test"
    arms = [_arm(cell) for cell in cells]
    count = int(epochs["epoch"].max()) if len(epochs) else 0
    notes = []
    mixing = [a["label"] for a in block["augmentations"] if a["mixes_labels"]]
    if mixing:
        notes.append(f"{', '.join(mixing)}: {MIXED_LABELS}")
    if any(cell["diverged"] for cell in cells):
        notes.append("Lines of diverged runs end where their values are no longer finite.")
    if any(cell["stopped_early"] for cell in cells):
        notes.append("After a run has stopped early, the mean is over the runs that go on.")
    if optimistic:
        notes.append(OPTIMISTIC)
    return Drawing(
        id=numbering.anchor("curves", block["name"], dataset),
        short=f"Curves on {dataset}",
        caption=f"{numbering.figure()} "
        + _mark(f"Loss and accuracy over the epochs on {dataset}", optimistic)
        + ": means over seeds; bands reach from the lowest to the highest seed.",
        picture=Picture(
            draw_curves(epochs, arms, styles, optimistic),
            "svg",
            f"Training loss, validation loss and validation accuracy over "
            f"{counted(count, 'epoch')} on {dataset}. Validation accuracy after the last epoch, "
            f"mean over seeds: {_accuracies(cells, 'val_accuracy_last')}."
            + " † The validation split is the test split."
            * optimistic,
        ),
        notes=notes,
        data=_last_epochs(block, dataset, arms, epochs, numbering),
    )


def _last_epochs(
    block: Mapping[str, Any],
    dataset: str,
    arms: Sequence[Arm],
    epochs: pd.DataFrame,
    numbering: _Numbering,
) -> Table:
    """Tabulate where the curves end: means over seeds of each run's last epoch."""
    optimistic = block["validation"] == "test"
    last = epochs.sort_values("epoch", kind="stable").groupby("id", sort=False).tail(1)
    last = last[np.isfinite(last["loss"])]  # a diverged run's last accuracy means nothing
    rows = []
    for model, augmentation in arms:
        ends = last[(last["model"] == model) & (last["augmentation"] == augmentation)]
        means = {
            name: ends[name].mean(skipna=True)
            for name in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
        }
        rows.append(
            [
                model,
                augmentation,
                number(means["epoch"], 1).removesuffix(".0"),
                number(means["loss"], 4),
                percent(means["accuracy"]),
                number(means["val_loss"], 4),
                percent(means["val_accuracy"]),
            ]
        )
    return Table(
        id=numbering.anchor("curve-data", block["name"], dataset),
        caption=_mark(f"Last epoch of each arm on {dataset}, means over seeds", optimistic),
        columns=[
            Column("Model"),
            Column("Augmentation"),
            Column("Epoch", numeric=True),
            Column("Training loss", numeric=True),
            Column("Training accuracy, %", numeric=True),
            Column(_mark("Validation loss", optimistic), numeric=True),
            Column(_mark("Validation accuracy, %", optimistic), numeric=True),
        ],
        rows=rows,
        headers=2,
        notes=[OPTIMISTIC] if optimistic else [],
    )


def _settings_table(block: Mapping[str, Any], numbering: _Numbering) -> Table:
    validation = {
        "held-out": "a share of the training split, held out",
        "test": "the test split †",
    }[block["validation"]]
    rows = [[key.replace("_", " "), setting(value)] for key, value in block["training"].items()]
    rows += [["validation", validation], ["seeds", setting(block["seeds"])]]
    rows += [
        [f"augmentation {a['label']}", a["pipeline"] or "unchanged"] for a in block["augmentations"]
    ]
    return Table(
        id=numbering.anchor("training", block["name"]),
        caption=f"Training settings of experiment {block['name']}",
        columns=[Column("Setting"), Column("Value")],
        rows=rows,
    )


def _images(gallery: Sequence[Mapping[str, Any]], numbering: _Numbering) -> list[ImagesView]:
    views = []
    for dataset in dict.fromkeys(entry["dataset"] for entry in gallery):
        anchor = numbering.anchor("images", dataset)
        entries = [entry for entry in gallery if entry["dataset"] == dataset]
        views.append(ImagesView(anchor, dataset, [_gallery_row(e, numbering) for e in entries]))
    return views


def _gallery_row(entry: Mapping[str, Any], numbering: _Numbering) -> Drawing:
    dataset, captions = entry["dataset"], entry["captions"]
    if entry["kind"] == "samples":
        words: tuple[str, ...] = ("samples", dataset)
        short, title = f"Samples of {dataset}", f"Training images of {dataset} with their classes"
        code, shows = "", f"Image of {dataset}, class"
    else:
        words = ("augmented", dataset, entry["augmentation"])
        short = str(entry["augmentation"])
        title = f"Augmentation {short} on the same images, with the resulting labels"
        code = entry["pipeline"] or "unchanged"
        shows = f"Image of {dataset} under {short}, label"
    shown = tiles(entry["images"])
    return Drawing(
        id=numbering.anchor(*words),
        short=short,
        caption=f"{numbering.figure()} {title}.",
        code=code,
        picture=Picture(
            png(strip(shown)), "png", f"{title}, from left to right: {'; '.join(captions)}."
        ),
        tiles=[
            Picture(png(tile), "png", f"{shows} {text}", text)
            for tile, text in zip(shown, captions, strict=True)
        ],
    )


def _model_table(models: Sequence[Mapping[str, Any]], numbering: _Numbering) -> Table:
    return Table(
        id=numbering.anchor("model-table"),
        caption=f"{numbering.table()} Networks. Multiply-adds count convolutions and dense layers "
        "for one image; shapes are those that a stage puts out.",
        columns=[
            Column("Model"),
            Column("Data"),
            Column("Input"),
            Column("Parameters", numeric=True),
            Column("Trainable", numeric=True),
            Column("Multiply-adds", numeric=True),
            Column("Stages", prose=True),
        ],
        rows=[
            [
                model["model"],
                model["dataset"],
                shape(model["input_shape"]),
                f"{model['parameters']:,}",
                f"{model['trainable_parameters']:,}",
                magnitude(model["multiply_adds"]),
                ", ".join(f"{s['stage']} {shape(s['output_shape'])}" for s in model["stages"]),
            ]
            for model in models
        ],
    )


def _model(model: Mapping[str, Any], numbering: _Numbering) -> ModelView:
    anchor = numbering.anchor("model", model["model"], model["dataset"])
    rows = []
    for stage in model["stages"]:
        counts = [stage.get("parameters"), stage.get("multiply_adds")]
        rows.append(
            [
                stage["stage"],
                shape(stage["output_shape"]),
                str(stage["blocks"] or NOTHING),
                NOTHING if counts[0] is None else f"{counts[0]:,}",
                NOTHING if counts[1] is None else magnitude(counts[1]),
            ]
        )
    return ModelView(
        id=anchor,
        name=f"{model['model']} on {model['dataset']}",
        stages=Table(
            id=f"{anchor}--stages",
            caption=f"Stages of {model['model']} on {model['dataset']}",
            columns=[
                Column("Stage"),
                Column("Output"),
                Column("Blocks", numeric=True),
                Column("Parameters", numeric=True),
                Column("Multiply-adds", numeric=True),
            ],
            rows=rows,
        ),
        settings="; ".join(
            f"{key.replace('_', ' ')}: {setting(value)}"
            for key, value in model["architecture"].items()
            if value is not None
        ),
        summary=model["summary"],
    )


def _runs(runs: pd.DataFrame, optimistic: set[str], numbering: _Numbering) -> Table:
    rows = [
        [
            run["experiment"],
            run["dataset"],
            run["model"],
            run["augmentation"],
            str(run["seed"]),
            run["id"],
            _STATUS.get(run["status"], run["status"]),
            _mark(percent(run["test_accuracy"]), run["experiment"] in optimistic),
            _mark(percent(run["val_accuracy_last"]), run["experiment"] in optimistic),
            _mark(percent(run["val_accuracy_best"]), run["experiment"] in optimistic),
            number(run["epochs"], 0),
            number(run["seconds"], 1),
        ]
        for run in runs.to_dict("records")
    ]
    return Table(
        id=numbering.anchor("run-table"),
        caption=f"{numbering.table()} Every run. A run that two experiments share stands under "
        "both.",
        columns=[
            Column("Experiment"),
            Column("Data"),
            Column("Model"),
            Column("Augmentation"),
            Column("Seed", numeric=True),
            Column("Id", code=True),
            Column("Status"),
            Column("Test accuracy, %", numeric=True),
            Column("Validation, last, %", numeric=True),
            Column("Validation, best, %", numeric=True),
            Column("Epochs", numeric=True),
            Column("Seconds", numeric=True),
        ],
        rows=rows,
        notes=[_of_some(optimistic)] if optimistic else [],
    )


def _of_some(optimistic: Iterable[str]) -> str:
    names = ", ".join(sorted(optimistic))
    return (
        f"† The test split was used for validation (experiments: {names}), so these scores are "
        "optimistic."
    )


def _provenance(provenance: Mapping[str, Any], numbering: _Numbering) -> Table:
    packages = [f"{name} {setting(versions)}" for name, versions in provenance["packages"].items()]
    rows = [
        ["Runs", str(provenance["runs"])],
        ["Training time, summed over runs", duration(provenance["train_seconds"])],
        ["First run started", provenance["first_started"]],
        ["Last run started", provenance["last_started"]],
        ["Git commits", setting(provenance["git_commits"])],
        ["Python", setting(provenance["python"])],
        ["Packages", "; ".join(packages)],
        ["Processors", setting(provenance["processors"])],
        ["Graphics processors", setting(provenance["gpus"]) if provenance["gpus"] else "none"],
        ["Systems", setting(provenance["systems"])],
        ["CPU threads of a run", setting(provenance["threads"])],
    ]
    return Table(
        id=numbering.anchor("provenance-table"),
        caption=f"{numbering.table()} Where and with what the runs were made.",
        columns=[Column("What"), Column("Value")],
        rows=rows,
    )


def _data(data: Sequence[Mapping[str, Any]], numbering: _Numbering) -> Table:
    return Table(
        id=numbering.anchor("data-table"),
        caption=f"{numbering.table()} Data sets, with the number of images in each split.",
        columns=[
            Column("Data"),
            Column("Source"),
            Column("Shape"),
            Column("Classes", numeric=True),
            Column("Training", numeric=True),
            Column("Validation", numeric=True),
            Column("Test", numeric=True),
            Column("Hash of the content", code=True),
        ],
        rows=[
            [
                one["dataset"],
                one["source"],
                shape(one["shape"]),
                f"{one['classes']:,}",
                f"{one['train']:,}",
                f"{one['validation']:,}",
                f"{one['test']:,}",
                one["hash"],
            ]
            for one in data
        ],
    )


def _splits(data: Sequence[Mapping[str, Any]], numbering: _Numbering) -> Table:
    return Table(
        id=numbering.anchor("split-table"),
        caption=f"{numbering.table()} Where the splits come from.",
        columns=[Column("Data"), Column("Split"), Column("Origin")],
        rows=[
            [one["dataset"], split, str(text)]
            for one in data
            for split, text in one["splits"].items()
        ],
        headers=2,
    )
