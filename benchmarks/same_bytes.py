"""What changes the bytes of a run, and what does not: one small run under many circumstances.

``make benchmark-bytes``; a few minutes on two cores. Circumstances that may change nothing come
first, and the exit code is 1 if one of them does.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ablation import warm_start
from ablation.augmentation.parsing import parse_pipeline
from ablation.data.prepare import prepare
from ablation.models.families import resolve_network
from ablation.study.grid import prepared_data
from ablation.study.schema import Dataset
from ablation.training.records import OUTPUTS
from ablation.training.settings import RunSettings, Training

DATA = prepared_data(Dataset(name="digits", source="mnist5k", limit=400)).settings
SETTINGS = RunSettings(
    dataset=DATA,
    model=resolve_network("resnet8", {"width": 8}),
    augmentation=parse_pipeline("crop(2) | cutmix"),
    training=Training(epochs=4, batch_size=32, learning_rate=0.05, momentum=0.9, schedule="cosine"),
    validation="held-out",
    seed=0,
    threads=2,
)


@dataclass(frozen=True)
class Circumstance:
    """Something that is different from the first time, and whether it may change the bytes."""

    name: str
    same: bool
    threads: int = 2
    variables: dict[str, str] = field(default_factory=dict)
    beside: int = 0


CIRCUMSTANCES = (
    Circumstance("once more", same=True),
    Circumstance("beside two others", same=True, beside=2),
    Circumstance("warm start", same=True, variables={warm_start.VARIABLE: str(os.getpid())}),
    Circumstance("one thread", same=False, threads=1),
    Circumstance("four threads", same=False, threads=4),
    Circumstance("an older processor (AVX2)", same=False, variables={"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    Circumstance("TensorFlow's own kernels", same=False, variables={"TF_ENABLE_ONEDNN_OPTS": "0"}),
)


def command(settings: RunSettings, data: Path, folder: Path) -> list[str]:
    """Return the command that trains a run on prepared data; its files go into the folder."""
    words = ["--settings", settings.json_text, "--data", str(data / "description.json")]
    outputs = [str(folder / name) for name in OUTPUTS]
    return [sys.executable, "-m", "ablation", "train", *words, "--", *outputs]


def start(folder: Path, data: Path, one: Circumstance) -> subprocess.Popen[bytes]:
    """Start the run under a circumstance; its files go into the folder."""
    return subprocess.Popen(
        command(SETTINGS.model_copy(update={"threads": one.threads}), data, folder),
        env={**os.environ, **one.variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def difference(one: Path, other: Path) -> dict[str, object]:
    """How two runs differ: files, test accuracy in points, largest difference of a probability."""
    files = {
        name: (one / name).read_bytes() == (other / name).read_bytes() for name in OUTPUTS[::2]
    }
    with np.load(one / "predictions.npz") as mine, np.load(other / "predictions.npz") as theirs:
        probability, its = mine["probability"], theirs["probability"]
        right = [(p.argmax(axis=1) == mine["label"]).mean() for p in (probability, its)]
    return {
        **{name: "the same" if same else "differs" for name, same in files.items()},
        "largest difference of a probability": f"{abs(probability - its).max():.2g}",
        "test accuracy, points": f"{100 * (right[1] - right[0]):+.2f}",
    }


def main() -> None:
    """Run all, print a table, and fail where what should be the same is not."""
    rows, broken = [], []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        prepare(DATA, place / "data")
        first = Circumstance("the first time", same=True)
        for number, one in enumerate((first, *CIRCUMSTANCES)):
            runs = [place / f"{number}-{copy}" for copy in range(1 + one.beside)]
            started = [start(run, place / "data", one) for run in runs]
            if any(process.wait() for process in started):
                sys.exit(f"{one.name}: the run failed")
            if number:
                row = difference(place / "0-0", runs[0])
                rows.append({"circumstance": one.name, **row})
                if one.same and "differs" in row.values():
                    broken.append(one.name)
    print(pd.DataFrame(rows).to_string(index=False))
    if broken:
        sys.exit(f"should be the same: {', '.join(broken)}")


if __name__ == "__main__":
    main()
