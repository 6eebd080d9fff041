"""A training job: locks, device, status and files around the training of one run.

TensorFlow's runtime does not start before a device is reserved.
"""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ablation.data.prepared import read_description
from ablation.errors import InputError
from ablation.quiet import import_tensorflow
from ablation.storage import exclusive_lock, file_sha256
from ablation.training.checkpoint import LOCK, Identity, finished_files, keep_log, publish
from ablation.training.code import code_of, require_code, run_code
from ablation.training.devices import reserved_device
from ablation.training.settings import RunSettings
from ablation.training.signals import stop_signals
from ablation.training.status import reporting


def train_job(
    settings: RunSettings,
    data_folder: Path,
    outputs: list[Path],
    *,
    weights_file: Path | None = None,
    code: str | None = None,
    checkpoints: Path | None = None,
    log: Path | None = None,
) -> None:
    """Train one run and write its files; an interrupted run continues from its checkpoint.

    Args:
        settings: everything that decides the result.
        data_folder: the prepared data.
        outputs: the files to write; the name decides the content: ``history.csv``,
            ``timing.csv``, ``predictions.npz``, ``run.json``, ``model.weights.h5``.
        weights_file: pretrained weights; None if the architecture needs none.
        code: digest of the code that the run was planned with; None for any.
        checkpoints: folder of the run's checkpoints; None for a temporary one.
        log: the file that receives the output; kept for the next attempt.

    Raises:
        InputError: the data has changed or does not fit the settings, the code has another digest,
            a file cannot be written, or memory is exhausted.
        Interrupted: SIGTERM or SIGINT was received; the checkpoint of the last epoch is kept.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(stop_signals())
        if checkpoints is None:
            checkpoints = Path(stack.enter_context(TemporaryDirectory(prefix="ablation-")))
        if log is not None:
            keep_log(log, checkpoints)
        waiting = f"waiting for another process that trains this run ({checkpoints / LOCK})"
        stack.enter_context(exclusive_lock(checkpoints / LOCK, waiting, signals.check))
        parts = run_code(settings)
        reporter = stack.enter_context(
            reporting(checkpoints, code_of(parts), settings.training.epochs)
        )
        if weights_file is not None and not weights_file.is_file():
            raise InputError(f"{weights_file}: weights file not found")
        require_code(code_of(parts), code)
        identity = Identity(
            settings.model_dump(mode="json"),
            parts,
            read_description(data_folder)["hash"],
            None if weights_file is None else file_sha256(weights_file),
        )
        names = [output.name for output in outputs]
        place = finished_files(checkpoints, identity, names)
        if place is None:
            device = stack.enter_context(reserved_device(signals.check))
            reporter.update(state="running")
            # TensorFlow uses the devices that are visible when its runtime starts.
            import_tensorflow()
            from ablation.training.run import train  # noqa: PLC0415

            place = train(
                settings,
                identity,
                data_folder,
                names,
                checkpoints,
                signals,
                weights_file=weights_file,
                device=device,
                reporter=reporter,
            )
        else:
            print("training has finished already; only its files are copied", flush=True)
        publish(place, outputs)
