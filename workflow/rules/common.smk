# Loads the configuration, resolves the study, and defines the input functions of the rules.
import gc
import os
import re
import sys
import time
from inspect import signature
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import RerunTrigger

# With Python's usual thresholds, looking for garbage takes a quarter of the time of a dry run.
gc.freeze()
gc.set_threshold(50_000, 20, 100)

# The checkout, whether Snakemake uses Snakefile or workflow/Snakefile.
SOURCES = [Path(workflow.basedir) / "src", Path(workflow.basedir).parent / "src"]
for SOURCE in [folder for folder in SOURCES if (folder / "ablation").is_dir()][:1]:
    # So that jobs in conda environments also use the code of this checkout.
    sys.path.insert(0, str(SOURCE))
    paths = filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")])
    os.environ.update(PYTHONPATH=os.pathsep.join(paths))

from ablation import warm_start
from ablation.data.files_digest import files_digest
from ablation.errors import InputError
from ablation.progress.current import is_prepared, result_state
from ablation.progress.resources import (
    DAY,
    analysis_memory,
    gallery_memory,
    models_memory,
    preparation_memory,
    recheck_memory,
    training_memory,
    training_minutes,
)
from ablation.storage import date_back, file_sha256, require_writable, writing
from ablation.identity import canonical_json
from ablation.study.grid import IMAGENET_WEIGHTS
from ablation.study.plan import load_config, load_plan
from ablation.study.plan_file import plan_digest, write_plan
from ablation.study.requests import digest, gallery_request, models_request
from ablation.study.schema import NAME_PATTERN
from ablation.training.code import code_of, data_code, run_code
from ablation.training.records import OUTPUTS, WEIGHTS

try:
    CONFIG = load_config(config)
    PLAN = load_plan(CONFIG)
    # Digests that change with the local images.
    LOCAL_IMAGES = {folder: files_digest(data.settings) for folder, data in PLAN.data.items()}
except InputError as error:
    sys.exit(f"error: {error}")

# Settings without effect on results are passed as variables, because params would cause reruns.
if CONFIG.data_dir is not None:
    os.environ.update(TFDS_DATA_DIR=CONFIG.data_dir)
os.environ.update(ABLATION_RUNS_PER_DEVICE=str(CONFIG.runs_per_device))

STUDY = PLAN.name
# The resolved plan, which the jobs of the study read instead of the study (see `onstart`).
PLAN_FILE = f"results/{STUDY}/plan.json"
PLAN_DIGEST = plan_digest(PLAN)
CONFIG_JSON = canonical_json(CONFIG.model_dump(include={"study", "threads"}))
RUNS, DATA, KEPT_WEIGHTS = PLAN.runs, PLAN.data, PLAN.kept_weights
NAME = NAME_PATTERN.strip("^$")
# One wildcard for a run, because each takes time for every file.
RUN_FOLDER = "results/runs/{run}"
RUN_LOG = "results/logs/train/{run}.log"
# What a run's name has before its id: data set, model, augmentation and seed.
BEFORE_ID = rf"{NAME}/{NAME}/{NAME}/seed-\d+-"


wildcard_constraints:
    dataset=NAME,
    form="[a-z0-9]+-[a-z]+-[0-9a-f]{8}",


def signed(function):
    """Return a function with its signature, which Snakemake asks for several times a job."""
    function.__signature__ = signature(function)
    return function


def run_of(wildcards):
    """Return the run of a job."""
    folder = f"results/runs/{wildcards.run}"
    if folder not in RUNS:
        raise WorkflowError(f"study '{STUDY}' has no run {folder}")
    return RUNS[folder]


def data_of(wildcards):
    """Return the prepared data set of a job."""
    folder = f"results/data/{wildcards.dataset}/{wildcards.form}"
    if folder not in DATA:
        raise WorkflowError(f"study '{STUDY}' has no data {folder}")
    return DATA[folder]


def mark(name, outputs):
    """Return a new file, an input that makes Snakemake repeat the job of outdated outputs.

    Params are not enough: when a job fails, Snakemake records its params, and with `update`
    restores the output of the job before.
    """
    date_back(Path(outputs))  # otherwise the new file could be older than the outputs
    file = Path("results/.outdated") / name
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(time.time_ns()))  # new content, because Snakemake compares it
    return str(file)


def mark_of_outdated_data(wildcards):
    """Return a mark if prepared data is outdated."""
    data = data_of(wildcards)
    description = f"{data.folder}/description.json"
    current = is_prepared(data, LOCAL_IMAGES[data.folder])
    return [] if current or not Path(description).exists() else mark(data.id, description)


def description_for(run):
    """Return the description of the data of a run, and a mark if the run is outdated.

    Snakemake repeats a job when another job of the same call makes its input, even with the same
    content, unless the input is `ancient` and exists. So the description is `ancient` for a run
    that was trained on this content, and not an input if the data has been deleted, unless the run
    is to be repeated.
    """
    digest, weights = LOCAL_IMAGES[run.data.folder], run.folder in KEPT_WEIGHTS
    description = f"{run.data.folder}/description.json"
    state = result_state(run, digest, weights=weights)
    if state == "outdated":
        return [description, mark(run.id, run.folder)]
    if state == "none":
        return description
    if Path(description).exists():
        return ancient(description)
    dag = workflow.dag_settings
    named = {*dag.forcerun, *(dag.targets if dag.forcetargets else ())}
    forced = any(
        name in ("train", "train_keeping_weights") or str(name).startswith(run.folder)
        for name in named
    )
    repeated = forced or dag.forceall or RerunTrigger.INPUT in workflow.rerun_triggers
    return description if repeated else []


@signed
def inputs_of_run(wildcards):
    """Return the inputs of a run: its data and its file of pretrained weights, if any."""
    run = run_of(wildcards)
    data = description_for(run)
    if run.weights_file is None:
        return data
    return [*([data] if isinstance(data, str) else data), run.weights_file]


@signed
def arguments_of_run(wildcards):
    """Return the arguments of a training job, except for its log and its outputs."""
    run = run_of(wildcards)
    return [
        f"--settings={run.settings.json_text}",
        # Not an input of a finished run whose data has been deleted.
        f"--data={run.data.folder}/description.json",
        f"--code={code_of(run_code(run.settings))}",
        # Not an output, because Snakemake removes outputs before a job and after a failure.
        f"--checkpoints={run.checkpoints}",
        *([f"--weights={run.weights_file}"] if run.weights_file else []),
    ]


def growing(needed):
    """Return a resource that grows by half with each attempt.

    Args:
        needed: what the first attempt gets: a number, or a function of the wildcards.
    """

    @signed
    def resource(wildcards, attempt):
        first = needed(wildcards) if callable(needed) else needed
        return round(first * (1 + (attempt - 1) / 2))

    return resource


def memory_of_run(wildcards):
    """Return the MB of a training job."""
    return training_memory(run_of(wildcards), CONFIG.environment)


def minutes_of_run(wildcards):
    """Return the minutes of a training job."""
    # Here, nothing limits the time, and reading the finished runs would take seconds.
    return DAY if workflow.local_exec else training_minutes(run_of(wildcards))


def ids_of(folders):
    """Return a regular expression that matches the ids of the given run folders."""
    ids = sorted(folder.rpartition("-")[2] for folder in folders)
    return "|".join(map(re.escape, ids)) or "(?!)"


def files_of_runs():
    """Return the files that every run of the study writes."""
    return [f"{folder}/{name}" for folder in RUNS for name in OUTPUTS]


def missing_files(wildcards):
    """Return the first missing file of each run that lacks one.

    Without them, Snakemake would not train a run again whose files have been deleted, because the
    analysis that reads them is up to date.
    """
    missing = []
    for folder in RUNS:
        names = [*OUTPUTS, WEIGHTS] if folder in KEPT_WEIGHTS else OUTPUTS
        missing += [f"{folder}/{name}" for name in names if not os.path.exists(f"{folder}/{name}")][
            :1
        ]
    return missing


def runs_at_once():
    """Return the number of runs that this call of Snakemake trains at once."""
    given = workflow.global_resources.get("gpu")
    gpus = getattr(given, "value", given)
    by_cores = max(1, workflow.cores // CONFIG.threads)
    return by_cores if gpus is None else max(1, min(gpus, by_cores))


def keep_locks_of_others(persistence):
    """Make Snakemake remove only its own locks when it ends."""
    own = getattr(persistence, "_lockfile", None)  # None if locks are not files

    def unlock():
        for file in own.values():
            Path(file).unlink(missing_ok=True)

    if own is not None:
        persistence.unlock = unlock
