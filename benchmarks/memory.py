"""Peak memory of training jobs, against the estimate that a scheduler gets.

``python -m benchmarks.memory`` trains 5 networks at 3 image sizes in 2 precisions for a few steps
and prints a table in Markdown; half an hour on two cores. The exit code is 1 if a job needs more
than its estimate, or less than two thirds of it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablation import warm_start
from ablation.augmentation.parsing import parse_pipeline
from ablation.models.families import resolve_network
from ablation.progress.resources import SNAKEMAKE, training_memory
from ablation.study.grid import Run, prepared_data
from ablation.study.schema import Dataset
from ablation.training.settings import RunSettings, Training
from benchmarks.measure import peak_memory
from benchmarks.same_bytes import command

NETWORKS = ("resnet8", "resnet20", "resnet56", "resnet34", "resnet50")
BATCHES = {32: 128, 96: 32, 224: 8}  # by side in pixels
PIPELINES = ("random_crop | flip", "crop(4) | cutmix", "rotation(15) | hue(0.1)")
STEPS = 8  # an epoch; so two batches of validation


@dataclass(frozen=True)
class Job:
    """A training job: network, side of the images, batch size, precision, augmentation."""

    network: str
    side: int
    batch: int
    precision: Literal["float32", "bfloat16"] = "float32"
    pipeline: str = ""

    @property
    def run(self) -> Run:
        """The run that the job trains."""
        stored = self.side + self.side // 8 if "random_crop" in self.pipeline else self.side
        dataset = Dataset(
            name="digits", source="mnist5k", image_size=(self.side, self.side),
            stored_size=(stored, stored), channels=3, limit=STEPS * self.batch,
        )  # fmt: skip
        data = prepared_data(dataset, "test")
        settings = RunSettings(
            dataset=data.settings,
            model=resolve_network(self.network, {}),
            augmentation=parse_pipeline(self.pipeline),
            training=Training(epochs=2, batch_size=self.batch, precision=self.precision),
            validation="test",
            seed=0,
            threads=2,
        )
        return Run("digits", self.network, "pipeline", settings, data)


def jobs(*, quick: bool) -> Iterator[Job]:
    """Yield the jobs that are measured."""
    for side, batch in list(BATCHES.items())[: 1 if quick else None]:
        for network in NETWORKS:
            yield Job(network, side, batch)
            yield Job(network, side, batch, "bfloat16")
        for pipeline in PIPELINES:
            yield Job("resnet8", side, batch, pipeline=pipeline)


def measure(job: Job) -> tuple[float, float]:
    """Return the estimated and the measured memory of a job in MB, without Snakemake."""
    run = job.run
    data, folder = Path(run.data.folder), Path(run.folder)
    folder.mkdir(parents=True)
    if not data.exists():
        words = ["--settings", run.data.settings.model_dump_json(), "--folder", str(data)]
        command_line = [sys.executable, "-m", "ablation", "prepare", *words]
        subprocess.run(command_line, stdout=subprocess.DEVNULL, check=True)
    environment = os.environ | {warm_start.VARIABLE: ""}
    peak = peak_memory(command(run.settings, data, folder), env=environment)
    return training_memory(run, "cpu") - SNAKEMAKE, peak


def main() -> int:
    """Print the table; return 1 if an estimate is too small or too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the smallest images")
    given = parser.parse_args()
    ratios = []
    print("| Network | Side, px | Batch | Precision | Augmentation | Estimate | Measured | Ratio |")
    print("|---|---:|---:|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for job in jobs(quick=given.quick):
            estimated, measured = measure(job)
            ratios.append(estimated / measured)
            pipeline = job.pipeline.replace("|", "\\|")
            print(
                f"| {job.network} | {job.side} | {job.batch} | {job.precision} | {pipeline} "
                f"| {estimated:,.0f} MB | {measured:,.0f} MB | {ratios[-1]:.2f} |",
                flush=True,
            )
    return int(min(ratios) < 1 or max(ratios) > 1.5)


if __name__ == "__main__":
    sys.exit(main())
