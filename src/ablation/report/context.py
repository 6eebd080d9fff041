"""The order of a report: its sections, and what stands in each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ablation.report import background, claim_tables, class_tables, datasets, drawings, tables
from ablation.report.figures import ArmStyles
from ablation.report.inputs import Inputs
from ablation.report.model import (
    Block,
    Code,
    Drawing,
    Facts,
    Fold,
    Items,
    Link,
    Linked,
    Numbering,
    Paragraph,
    Report,
    Section,
    Table,
)
from ablation.report.part import ALL_DATASETS, Part
from ablation.report.sources import Sources
from ablation.report.text import OPTIMISTIC, setting

PARTS = {
    "claims": "Claims",
    "survives": "What survives",
    "evidence": "Evidence",
    "problem": "Problems seen",
    "open": "What stays open",
}
BADGE = "† validated on the test split: test scores are optimistic"
NO_RUN = "No run has finished yet, so there is nothing to show."


def build_context(inputs: Inputs) -> Report:
    """Make a report: every text, table and figure, in the report's order."""
    analysis = inputs.analysis
    return Report(
        study=analysis["study"],
        title=analysis["title"],
        description=[text for text in analysis["description"].split("\n\n") if text.strip()],
        partial=_partial(inputs),
        sections=_Builder(inputs).sections(),
    )


def _partial(inputs: Inputs) -> str:
    partial = inputs.analysis["partial"]
    return partial["text"] if partial else ""


class _Builder:
    """Builds the sections in order, so that tables and figures are numbered as they stand."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.experiments = inputs.analysis["experiments"]
        self.styles = ArmStyles(self.experiments)
        self.numbering = Numbering()
        self.sources = Sources()
        self.optimistic = {e["name"] for e in self.experiments if e["validation"] == "test"}
        self.shared: list[Paragraph] = []  # warnings of data sets whose splits share images
        self.parts = [
            part
            for block in self.experiments
            for dataset in block["datasets"]
            if len((part := Part(block, dataset, inputs, self.styles)).cells)
        ]

    def sections(self) -> list[Section]:
        """Return the parts of the report."""
        # The verdict stands first and points at tables below it. Its own tables take their
        # numbers first; its text is written last, when every table has its place.
        for name in ("verdict", "tables", "curves", "gallery", "classes", "calibration", "cost",
                     "methods", "runs", "provenance"):  # fmt: skip
            self.numbering.anchor(name)
        claims = {block["name"]: self._claim_tables(block["name"]) for block in self.experiments}
        own = self._verdict_tables()
        rest = [
            self._tables(),
            self._of_parts("curves", "Curves", {"curves": drawings.curves_drawing}),
            self._gallery(),
            self._of_parts(
                "classes",
                "Classes",
                {
                    "class accuracies": drawings.classes_drawing,
                    "confusion": drawings.confusion_drawing,
                    "class effects": class_tables.class_effects_table,
                    "hardest classes": class_tables.hardest_classes_table,
                },
            ),
            self._of_parts(
                "calibration",
                "Calibration",
                {
                    "reliability": drawings.reliability_drawing,
                    "calibration": tables.calibration_table,
                },
            ),
            self._of_parts(
                "cost",
                "Cost",
                {"cost figure": drawings.cost_drawing, "cost": tables.cost_table},
            ),
            self._methods(),
            self._runs(),
            self._provenance(),
        ]
        return [self._verdict(own, claims), *rest]

    def _claim_tables(self, name: str) -> dict[str, Table]:
        """The tables of an experiment's claims, by the part of the findings they stand with."""
        rows = self.inputs.rows("claims", name)
        optimistic = name in self.optimistic
        found = {
            "claims": claim_tables.claims_table(name, rows, self.numbering, optimistic),
            "survives": claim_tables.survival_table(name, rows, self.numbering),
        }
        shown = {part: table for part, table in found.items() if table is not None}
        for part, table in shown.items():
            self.sources.add(table, part, name)
        return shown

    def _verdict_tables(self) -> list[Section]:
        found = []
        published = self.inputs.tables["published"]
        if len(published):
            table = background.published_table(published, self.numbering)
            self.sources.add(table, "published")
            found.append(self._section("verdict-published", "Published figures", [table], 3))
        return found

    def _verdict(
        self, own: Sequence[Section], claims: Mapping[str, Mapping[str, Table]]
    ) -> Section:
        summary = self.inputs.analysis["summary"]
        blocks: list[Block] = []
        anchor = self.numbering.anchor("verdict-study")
        found = self._findings(anchor, summary, {})
        if self.optimistic:
            found.append(Paragraph(background.of_some(self.optimistic), "warning"))
        found += self.shared
        if found:
            blocks.append(Section(anchor, "The study", found, 3, "The study"))
        for block in self.experiments:
            blocks.append(self._experiment(block, claims[block["name"]]))
        return Section("verdict", "Verdict", [*blocks, *own], 2, "Verdict")

    def _experiment(self, block: Mapping[str, Any], claims: Mapping[str, Table]) -> Section:
        name = block["name"]
        optimistic = name in self.optimistic
        anchor = self.numbering.anchor("verdict-experiment", name)
        blocks: list[Block] = [
            Paragraph(block["question"], "question"),
            Paragraph(background.scope(block), "note"),
        ]
        if optimistic:
            blocks.append(Paragraph(BADGE, "badge"))
        blocks += self._findings(anchor, block["findings"], claims)
        mark = " †" * optimistic
        return Section(anchor, f"Experiment {name}{mark}", blocks, 3, f"{name}{mark}")

    def _findings(
        self, anchor: str, findings: Sequence[Mapping[str, Any]], shown: Mapping[str, Table]
    ) -> list[Block]:
        """Findings by their part, each part with its table if it has one."""

        def of(part: str) -> list[Linked]:
            return [
                Linked(finding["text"], self.sources.links(finding))
                for finding in findings
                if finding["part"] == part
            ]

        blocks: list[Block] = [Paragraph(one.text, "answer", one.links) for one in of("answer")]
        for part, title in PARTS.items():
            items = of(part)
            found: list[Block] = [Items(items)] if items else []
            found += [shown[part]] if part in shown else []
            if found:
                blocks.append(Section(f"{anchor}--{part}", title, found, 4))
        return blocks

    def _tables(self) -> Section:
        blocks: list[Block] = []
        for block in self.experiments:
            parts = [part for part in self.parts if part.block is block]
            for part in parts:
                found: list[Block | None] = [
                    self._add(
                        tables.ablation_table(part, self.numbering, _partial(self.inputs)),
                        "ablation",
                        part,
                    ),
                    self._add(tables.epochs_table(part, self.numbering), "epochs", part),
                    self._add(
                        drawings.accuracies_drawing(part, self.numbering), "accuracies", part
                    ),
                    *self._compared(part),
                    *self._grids(part),
                ]
                blocks += self._part("tables", part, found)
            overall = Part(block, ALL_DATASETS, self.inputs, self.styles)
            found = [*self._compared(overall), *self._grids(overall)]
            blocks += self._part("tables", overall, found)
        return self._of_blocks("tables", "Tables", blocks)

    def _compared(self, part: Part) -> list[Block | None]:
        table = tables.comparisons_table(part, self.numbering)
        return [
            self._add(table, "comparisons", part),
            drawings.differences_drawing(part, self.numbering),
        ]

    def _grids(self, part: Part) -> list[Block]:
        return [
            block
            for grid in part.block["grids"]
            if grid["dataset"] == part.dataset
            for block in (
                drawings.grid_drawing(part, grid, self.numbering),
                tables.grid_table(part, grid, self.numbering),
            )
        ]

    def _of_parts(
        self,
        anchor: str,
        title: str,
        makers: Mapping[str, Callable[[Part, Numbering], Table | Drawing | None]],
    ) -> Section:
        blocks = []
        for part in self.parts:
            found = [
                self._add(make(part, self.numbering), kind, part) for kind, make in makers.items()
            ]
            blocks += self._part(anchor, part, found)
        return self._of_blocks(anchor, title, blocks)

    def _part(self, anchor: str, part: Part, blocks: Sequence[Block | None]) -> list[Section]:
        """A section with what there is of a part; none if there is nothing."""
        found = [block for block in blocks if block is not None]
        if not found:
            return []
        several = len(part.block["datasets"]) > 1
        overall = part.dataset == ALL_DATASETS
        data = "over all data sets" if overall else f"on {part.dataset}"
        return [
            self._section(
                f"section-{anchor}-{part.experiment}-{part.dataset}",
                f"{part.experiment} {data}",
                found,
                3,
                f"{part.experiment} {data}" if several or overall else part.experiment,
            )
        ]

    def _of_blocks(self, anchor: str, title: str, blocks: Sequence[Block]) -> Section:
        return Section(anchor, title, blocks or [Paragraph(NO_RUN)], 2, title)

    def _section(
        self, words: str, title: str, blocks: Sequence[Block], level: int, short: str = ""
    ) -> Section:
        return Section(self.numbering.anchor(words), title, blocks, level, short or title)

    def _add(self, block: Table | Drawing | None, kind: str, part: Part) -> Block | None:
        if block is not None:
            self.sources.add(block, kind, part.experiment, part.dataset)
        return block

    def _gallery(self) -> Section:
        gallery = self.inputs.gallery
        blocks = [
            self._section(
                f"gallery-{dataset}",
                f"Images of {dataset}",
                [
                    drawings.gallery_drawing(entry, self.numbering)
                    for entry in gallery
                    if entry["dataset"] == dataset
                ],
                3,
                dataset,
            )
            for dataset in dict.fromkeys(entry["dataset"] for entry in gallery)
        ]
        return Section(
            "gallery",
            "Gallery",
            blocks or [Paragraph("There are no images to show.")],
            2,
            "Gallery",
        )

    def _methods(self) -> Section:
        blocks: list[Block] = [
            self._section(f"methods-{one['title']}", one["title"], [Paragraph(one["text"])], 3)
            for one in self.inputs.analysis["method"]
        ]
        judging: list[Table] = [background.judging_table(self.experiments, self.numbering)]
        self.sources.add(judging[-1], "judging")
        rules = self.inputs.tables["rules"]
        if len(rules):
            judging.append(background.rules_table(rules, self.numbering))
            self.sources.add(judging[-1], "rules")
        blocks.append(self._section("methods-rules", "Rules and thresholds", judging, 3))
        training: list[Block] = []
        for block in self.experiments:
            training.append(background.training_table(block, self.numbering))
            if block["overrides"]:
                training.append(
                    Paragraph(f"In experiment {block['name']} some cells were trained otherwise:")
                )
                training.append(Items([Linked(text) for text in block["overrides"]]))
            if block["name"] in self.optimistic:
                training.append(Paragraph(OPTIMISTIC, "note"))
        blocks.append(self._section("methods-training", "Training", training, 3))
        if self.inputs.models:
            blocks.append(self._section("methods-models", "Models", self._models(), 3))
        return Section("methods", "Methods", blocks, 2, "Methods")

    def _models(self) -> list[Block]:
        blocks: list[Block] = [background.model_table(self.inputs.models, self.numbering)]
        for model in self.inputs.models:
            anchor = self.numbering.anchor("model", model["model"], model["dataset"])
            name = f"{model['model']} on {model['dataset']}"
            settings = [
                (key.replace("_", " "), setting(value))
                for key, value in model["architecture"].items()
                if value is not None
            ]
            blocks.append(
                Fold(
                    f"{name}: stages, settings and Keras summary",
                    [
                        background.stages_table(model, anchor),
                        Facts(settings),
                        Code(model["summary"], f"Keras summary of {name}"),
                    ],
                )
            )
        return blocks

    def _runs(self) -> Section:
        runs = self.inputs.tables["runs"]
        unequal = {(part.experiment, part.dataset) for part in self.parts if part.unequal}
        table = background.runs_table(runs, self.optimistic, unequal, self.numbering)
        self.sources.add(table, "runs")
        blocks: list[Block] = [table]
        for block in self.experiments:
            name = block["name"]
            folds = [
                Fold(
                    f"{run['model']} · {run['augmentation']} on {run['dataset']}, "
                    f"seed {run['seed']:.0f}: {background.told_status(run)}",
                    [
                        Facts(
                            background.run_facts(
                                run, name in self.optimistic, (name, run["dataset"]) in unequal
                            )
                        )
                    ],
                )
                for run in self.inputs.rows("runs", name).to_dict("records")
            ]
            if folds:
                blocks.append(self._section(f"runs-{name}", f"Runs of {name}", folds, 3, name))
        return Section("runs", "Runs", blocks, 2, "Runs")

    def _provenance(self) -> Section:
        provenance = self.inputs.analysis["provenance"]
        blocks: list[Block] = [
            Paragraph("This command makes the whole study again:"),
            Code(provenance["command"], "Command"),
            *(Paragraph(f"Warning: {text}", "warning") for text in provenance["warnings"]),
            background.provenance_table(provenance, self.numbering),
        ]
        if provenance["data"]:
            blocks.append(
                self._section("provenance-data", "Data", self._data(provenance["data"]), 3)
            )
        return Section("provenance", "Provenance", blocks, 2, "Provenance")

    def _data(self, data: Sequence[Mapping[str, Any]]) -> list[Block]:
        """The data sets: what they are, how they were made, and what their checks found."""
        prepared = datasets.each_once(data)
        blocks: list[Block] = [
            background.data_table(data, self.numbering),
            datasets.classes_table(data, self.numbering),
            datasets.images_table(prepared, self.numbering),
        ]
        if any(one["splits"] for one in data):
            blocks.append(background.splits_table(data, self.numbering))
        for one in prepared:
            title = f"Checks of {one['dataset']}"
            anchor = self.numbering.anchor("checks", one["dataset"])
            blocks.append(Section(anchor, title, datasets.checks_blocks(one), 4))
            warning = datasets.shared_images(one, Link(title, anchor))
            self.shared += [warning] if warning else []
        blocks += [
            Fold(
                f"Citation of {one['dataset']}",
                [Code(one["citation"], f"Citation of {one['dataset']}")],
            )
            for one in data
            if one["citation"]
        ]
        return blocks
