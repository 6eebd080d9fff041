# Loads the configuration, resolves the study, and defines the input functions of the rules.
import gc
import io
import json
import os
import re
import sys
import tarfile
import time
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory

from snakemake.exceptions import WorkflowError
from snakemake.persistence.file import FilePersistence
from snakemake.settings.enums import RerunTrigger
from snakemake.settings.types import DeploymentMethod

# With Python's usual thresholds, looking for garbage takes a quarter of the time of a dry run.
gc.freeze()
gc.set_threshold(50_000, 20, 100)


def checkout():
    """Return the folder of the checkout that this file belongs to.

    Of a module from GitHub or GitLab, Snakemake has no working tree, so one is made.
    """
    here = workflow.current_basedir
    if here.is_local:
        return Path(here.get_path_or_uri(secret_free=False)).parents[1]
    repository = here.hosted_repo.repo
    commit = repository.commit(here.ref).hexsha
    folder = Path.cwd() / ".snakemake/ablation" / commit
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        archive = io.BytesIO()
        repository.archive(archive, commit, path=["config", "src"])
        archive.seek(0)
        with TemporaryDirectory(dir=folder.parent) as part, tarfile.open(fileobj=archive) as files:
            files.extractall(part, filter="data")
            Path(part).rename(folder)
    return folder


# The package of this checkout, also for jobs in other environments.
SOURCE = checkout() / "src"
sys.path.insert(0, str(SOURCE))
paths = filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")])
os.environ.update(PYTHONPATH=os.pathsep.join(paths))

import ablation

# Another module of the same workflow may have imported the package of another checkout.
IMPORTED = Path(ablation.__file__).parents[1]
if not IMPORTED.samefile(SOURCE):
    sys.exit(f"error: {SOURCE}: the package of {IMPORTED} is already imported")

from ablation import warm_start
from ablation.data.files_digest import files_digest
from ablation.data.sources import source_of
from ablation.errors import InputError
from ablation.progress.current import is_prepared, result_state
from ablation.progress.resources import (
    analysis_memory,
    gallery_memory,
    models_memory,
    preparation_memory,
    recheck_memory,
    training_memory,
)
from ablation.storage import date_back, file_sha256, require_writable, writing
from ablation.identity import canonical_json
from ablation.study.grid import IMAGENET_WEIGHTS
from ablation.study.plan import CONFIG_FILE, load_config, load_plan
from ablation.study.schema import NAME_PATTERN
from ablation.training.code import code_of, run_code
from ablation.training.records import OUTPUTS, WEIGHTS

# Snakemake adds the prefix of a module to the paths of rules, but not to other paths.
RESULTS = Path(workflow.modifier.modify_path("results/"))

try:
    # config/config.yaml is that of the workflow which uses this one as a module.
    CONFIG = load_config(config, CONFIG_FILE if workflow.modifier.is_main_snakefile() else None)
    PLAN = load_plan(CONFIG, results=str(RESULTS))
    # Digests that change with the local images.
    LOCAL_IMAGES = {
        folder: files_digest(data.settings, RESULTS / "data/.local-images.json")
        for folder, data in PLAN.data.items()
    }
    if workflow.is_main_process and not workflow.output_settings.dryrun:
        for folder in (RESULTS, PLAN.reports):
            require_writable(folder)
            date_back(folder)
        for weights in {run.weights_file for run in PLAN.runs.values()} - {None}:
            date_back(Path(weights))
except InputError as error:
    sys.exit(f"error: {error}")

# The local image of `--sdm apptainer`. Relative, because Snakemake allows no spaces in its path.
IMAGE = f"envs/{CONFIG.environment}.sif"
apptainer = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
if apptainer and not Path(IMAGE).exists():
    sys.exit(f"error: {IMAGE} not found; docs/modules.md shows how to build it")

# Settings without effect on results are passed as variables, because params would cause reruns.
if CONFIG.data_dir is not None:
    os.environ.update(TFDS_DATA_DIR=CONFIG.data_dir)
os.environ.update(ABLATION_RUNS_PER_DEVICE=str(CONFIG.runs_per_device))
# Empty in the processes of Snakemake that run jobs on other machines.
warm = CONFIG.warm_start and workflow.is_main_process
os.environ.update({warm_start.VARIABLE: str(os.getpid()) if warm else ""})

# Jobs on other machines load this file again. They check the code that they were planned with.
PLANNED_CODE = json.loads(os.environ.get("ABLATION_PLANNED_CODE", "{}"))
if workflow.is_main_process or not PLANNED_CODE:
    for run in {run.cell: run for run in PLAN.runs.values()}.values():
        PLANNED_CODE.update(run_code(run.settings))
    os.environ.update(ABLATION_PLANNED_CODE=json.dumps(PLANNED_CODE))

STUDY = PLAN.name
RUNS = {run.name: run for run in PLAN.runs.values()}
DATA = {data.name: data for data in PLAN.data.values()}
KEPT_WEIGHTS = PLAN.kept_weights
DAY = 24 * 60
NAME = NAME_PATTERN.strip("^$")
# One wildcard for a run, because each takes time for every file.
RUN_FOLDER = "results/runs/{run}"
RUN_LOG = "results/logs/train/{run}.log"
# The names of the rules that train, which a module may change.
TRAINING_RULES = {
    workflow.modifier.modify_rulename(rule) for rule in ("train", "train_keeping_weights")
}
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
    if wildcards.run not in RUNS:
        raise WorkflowError(f"study '{STUDY}' has no run {RESULTS}/runs/{wildcards.run}")
    return RUNS[wildcards.run]


def data_of(wildcards):
    """Return the prepared data set of a job."""
    name = f"{wildcards.dataset}/{wildcards.form}"
    if name not in DATA:
        raise WorkflowError(f"study '{STUDY}' has no data {RESULTS}/data/{name}")
    return DATA[name]


def description_of(data):
    """Return the description of a data set, as an input of a rule."""
    return f"results/data/{data.name}/description.json"


DESCRIPTIONS = [description_of(data) for data in DATA.values()]


def config_options(*keys):
    """Return the options of commands that resolve the study, with further keys of the config."""
    given = canonical_json(CONFIG.model_dump(include={"study", "threads", *keys}))
    return ["--no-config-file", f"--config={given}", f"--results={RESULTS}"]


def mark(name, outputs):
    """Return a new file, an input that makes Snakemake repeat the job of outdated outputs.

    Params are not enough: when a job fails, Snakemake records its params, and with `update`
    restores the output of the job before.
    """
    date_back(Path(outputs))  # otherwise the new file could be older than the outputs
    file = RESULTS / ".outdated" / name
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(time.time_ns()))  # new content, because Snakemake compares it
    return f"results/.outdated/{name}"


def mark_of_outdated_data(wildcards):
    """Return a mark if prepared data is outdated."""
    data = data_of(wildcards)
    description = Path(data.folder, "description.json")
    current = is_prepared(data, LOCAL_IMAGES[data.folder])
    return [] if current or not description.exists() else mark(data.id, description)


def description_for(run):
    """Return the description of the data of a run, and a mark if the run is outdated.

    Snakemake repeats a job when another job of the same call makes its input, even with the same
    content, unless the input is `ancient` and exists. So the description is `ancient` for a run
    that was trained on this content, and not an input if the data has been deleted, unless the run
    is to be repeated.
    """
    digest, weights = LOCAL_IMAGES[run.data.folder], run.folder in KEPT_WEIGHTS
    description = description_of(run.data)
    state = result_state(run, digest, weights=weights)
    if state == "outdated":
        return [description, mark(run.id, run.folder)]
    if state == "none":
        return description
    if Path(run.data.folder, "description.json").exists():
        return ancient(description)
    dag = workflow.dag_settings
    named = {*dag.forcerun, *(dag.targets if dag.forcetargets else ())}
    forced = any(name in TRAINING_RULES or str(name).startswith(run.folder) for name in named)
    repeated = forced or dag.forceall or RerunTrigger.INPUT in workflow.rerun_triggers
    return description if repeated else []


@signed
def inputs_of_run(wildcards):
    """Return the inputs of a run: its data and its file of pretrained weights, if any."""
    run = run_of(wildcards)
    data = description_for(run)
    if run.weights_file is None:
        return data
    return [*([data] if isinstance(data, str) else data), weights_of(run)]


def weights_of(run):
    """Return the file of pretrained weights of a run, as an input of a rule."""
    if run.settings.model.weights == "imagenet":
        return f"results/{IMAGENET_WEIGHTS}"
    return local(run.weights_file)  # a file of the user gets no prefix


@signed
def arguments_of_run(wildcards):
    """Return the arguments of a training job, except for its log and its outputs."""
    run = run_of(wildcards)
    return [
        f"--settings={run.settings.json_text}",
        # Not an input of a finished run whose data has been deleted.
        f"--data={run.data.folder}/description.json",
        f"--code={code_of({part: PLANNED_CODE[part] for part in run_code(run.settings)})}",
        # Not an output, because Snakemake removes outputs before a job and after a failure.
        f"--checkpoints={run.checkpoints}",
        *([f"--weights={run.weights_file}"] if run.weights_file else []),
    ]


def code_of_data(wildcards):
    """Return the digest of the code that prepares a data set."""
    return PLANNED_CODE[source_of(data_of(wildcards).settings.source).name]


def growing(needed, most=None):
    """Return a resource that grows by half with each attempt.

    Args:
        needed: what the first attempt gets: a number, or a function of the wildcards.
        most: where it stops growing; None for no limit.
    """

    @signed
    def resource(wildcards, attempt):
        first = needed(wildcards) if callable(needed) else needed
        grown = first * (1 + (attempt - 1) / 2)
        return round(grown if most is None else max(first, min(grown, most)))

    return resource


def training_environments():
    """Return the environments that a training job may use: on a cluster, of a CPU or a GPU."""
    return [CONFIG.environment] if workflow.local_exec else ["cpu", "gpu"]


def memory_of_run(wildcards):
    """Return the MB of a training job."""
    return max(training_memory(run_of(wildcards), one) for one in training_environments())


def memory_of_recheck(wildcards):
    """Return the MB of a job that trains any of the runs again."""
    return max(recheck_memory(RUNS.values(), one) for one in training_environments())


def minutes_of_run(wildcards):
    """Return the minutes of a training job."""
    # Here nothing limits the time, or the job has started. Reading finished runs takes seconds.
    if workflow.local_exec or not workflow.is_main_process:
        return DAY
    from ablation.progress.estimate import minutes_to_request

    return minutes_to_request(run_of(wildcards), RESULTS) or DAY


def in_report(file, category, patterns=(), **labels):
    """Mark an output for Snakemake's own report (`snakemake --report`)."""
    return report(
        file,
        category=category,
        caption=f"../report/{category.lower()}.rst",
        labels={"study": STUDY, **labels},
        patterns=list(patterns),
    )


def ids_of(folders):
    """Return a regular expression that matches the ids of the given run folders."""
    ids = sorted(folder.rpartition("-")[2] for folder in folders)
    return "|".join(map(re.escape, ids)) or "(?!)"


def files_of_runs():
    """Return the files that every run of the study writes."""
    return [f"results/runs/{run}/{name}" for run in RUNS for name in OUTPUTS]


def missing_files(wildcards):
    """Return the first missing file of each run that lacks one.

    Without them, Snakemake would not train a run again whose files have been deleted, because the
    analysis that reads them is up to date.
    """
    if workflow.dag_settings.batch is not None:  # the runs of the batch only
        return []
    missing = []
    for name, run in RUNS.items():
        folder = run.folder
        files = [*OUTPUTS, WEIGHTS] if folder in KEPT_WEIGHTS else OUTPUTS
        lacking = (file for file in files if not os.path.exists(f"{folder}/{file}"))
        missing += [f"results/runs/{name}/{file}" for file in lacking][:1]
    return missing


def runs_at_once():
    """Return the number of runs that this call of Snakemake trains at once."""
    if not workflow.local_exec:
        return min(workflow.resource_settings.nodes, max(1, len(RUNS)))  # one in each job
    given = workflow.global_resources.get("gpu")
    gpus = getattr(given, "value", given)
    by_cores = max(1, workflow.cores // CONFIG.threads)
    return by_cores if gpus is None else max(1, min(gpus, by_cores))


def remove_own_locks(persistence):
    """Remove the locks of this process only, unlike Snakemake, which removes all."""
    for file in persistence._lockfile.values():
        Path(file).unlink(missing_ok=True)


FilePersistence.unlock = remove_own_locks
FilePersistence.cleanup_locks = FilePersistence._delete_locks  # `snakemake --unlock`
