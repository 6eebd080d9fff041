"""The command line that the workflow's rules call; each command can be run by hand.

TensorFlow and matplotlib are imported only by the commands that need them.
"""
# ruff: noqa: PLC0415

import argparse
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ablation.data.settings import DataSettings
from ablation.errors import InputError
from ablation.quiet import import_tensorflow
from ablation.study.plan import CONFIG_FILE, Plan, load_config, load_plan
from ablation.study.plan_file import part_digests, read_plan, write_plan
from ablation.study.requests import gallery_request, models_request
from ablation.study.schema import Config
from ablation.training.settings import RunSettings

Settings = TypeVar("Settings", bound=BaseModel)


def main(words: list[str] | None = None) -> None:
    """Run one command; exit with status 1 and one message if the input is wrong."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the locale's encoding may know only ASCII
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(words)
    try:
        arguments.command(arguments)
    except InputError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: stopped by SIGINT", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ablation", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="prepare a data set for training")
    prepare.add_argument("--settings", required=True, type=_settings(DataSettings), help="as JSON")
    prepare.add_argument("--folder", required=True, type=Path, help="output folder")
    prepare.add_argument("--code", help="fail if the code has another digest")
    prepare.add_argument("--files-digest", default="", help="digest of the local images")
    prepare.set_defaults(command=_prepare)

    findings = commands.add_parser("findings", help="summarise prepared data sets and their issues")
    findings.add_argument("descriptions", type=Path, nargs="*", help="description.json of each")
    findings.set_defaults(command=_findings)

    weights = commands.add_parser("fetch-weights", help="download Keras' ImageNet weights")
    weights.add_argument("file", type=Path, help="output file")
    weights.set_defaults(command=_fetch_weights)

    train = commands.add_parser("train", help="train one run")
    train.add_argument("--settings", required=True, type=_settings(RunSettings), help="as JSON")
    train.add_argument(
        "--data", required=True, type=Path, help="description.json of the prepared data"
    )
    train.add_argument("--weights", type=Path, nargs="?", help="file of pretrained weights")
    train.add_argument("--code", help="fail if the code has another digest")
    train.add_argument(
        "--checkpoints",
        type=Path,
        help="folder of the run's checkpoints; default: a temporary folder",
    )
    train.add_argument(
        "--log", type=Path, help="file that receives the output; kept for the next attempt"
    )
    train.add_argument(
        "outputs", type=Path, nargs="+", help="files to write; the name decides the content"
    )
    train.set_defaults(command=_train)

    _add_commands_of_studies(commands)
    _add_judge(commands)

    _add_archive(commands)

    schema = commands.add_parser("schema", help="write the JSON Schemas of the config files")
    schema.add_argument("folder", type=Path)
    schema.set_defaults(command=_schema)

    reference = commands.add_parser("reference", help="update the reference part of a document")
    reference.add_argument("file", type=Path)
    reference.set_defaults(command=_reference)
    return parser


def _add_commands_of_studies(commands: Any) -> None:
    resolve = commands.add_parser("resolve", help="resolve a study and write its plan")
    _add_config(resolve)
    resolve.add_argument("--digest", help="fail if the part has another digest")
    resolve.add_argument("--part", default="plan", help="the part of the plan that will be used")
    resolve.add_argument("file", type=Path, help="JSON file to write the plan to")
    resolve.set_defaults(command=_resolve)

    for name, command, text in (
        ("describe-models", _describe_models, "describe the networks of a study"),
        ("gallery", _gallery, "show the augmentations of a study on its images"),
        ("analyse", _analyse, "analyse the runs of a study"),
        ("report", _report, "render the report of a study"),
    ):
        of_study = commands.add_parser(name, help=text)
        of_study.add_argument("plan", type=Path, help="the plan, as 'resolve' writes it")
        of_study.set_defaults(command=command)

    partial = commands.add_parser("partial", help="render a report on what has finished")
    _add_config(partial)
    partial.set_defaults(command=_partial)

    for name, command, text in (
        ("plan", _show_plan, "show a study's runs and the time that they will take"),
        ("status", _show_status, "show the progress of a study"),
    ):
        progress = commands.add_parser(name, help=text)
        _add_config(progress)
        progress.add_argument("--at-once", type=int, help="number of runs that train at once")
        progress.add_argument("--log", type=Path, help="file for a copy as plain text")
        progress.set_defaults(command=command)

    recheck = commands.add_parser("recheck", help="repeat a finished run and compare its bytes")
    _add_config(recheck)
    recheck.set_defaults(command=_recheck)

    prune = commands.add_parser("prune", help="list or remove results that no study uses")
    _add_config(prune)
    prune.set_defaults(command=_prune)


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", default={}, type=json.loads, help="config, as JSON")
    command.add_argument(
        "--no-config-file", action="store_true", help="do not read config/config.yaml"
    )
    command.add_argument("--results", default="results", help="folder of results")


def _add_judge(commands: Any) -> None:
    judge = commands.add_parser("judge", help="give verdicts on accuracies of runs made elsewhere")
    judge.add_argument("scores", type=Path, help="CSV: arm, seed, accuracy (0 to 1), images")
    judge.add_argument(
        "--reference",
        required=True,
        metavar="ARM",
        help="the arm that the others are compared with",
    )
    judge.add_argument(
        "--margin",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="negligible difference in percentage points; default: 0.5",
    )
    judge.add_argument("--output", type=Path, metavar="FILE", help="CSV to write the result to")
    judge.set_defaults(command=_judge)


def _add_archive(commands: Any) -> None:
    archive = commands.add_parser("archive", help="write the archive of a finished study")
    archive.add_argument("study", nargs="?", help="name; default: the configured study")
    archive.add_argument(
        "--without-images", action="store_true", help="leave out all images of the data"
    )
    archive.add_argument("--config", default={}, type=json.loads, help="config, as JSON")
    archive.set_defaults(command=_archive)

    verify = commands.add_parser("verify", help="verify the archive of a study")
    verify.add_argument("file", type=Path, help="the archive, a .zip file")
    verify.add_argument("--rerun", metavar="ID", help="also train this run again and compare it")
    verify.set_defaults(command=_verify)


def _import_tensorflow() -> None:
    """Import TensorFlow without the GPUs, which are left to training jobs."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import_tensorflow()


def _settings(model: type[Settings]) -> Callable[[str], Settings]:
    """Return a function that reads settings of this type from JSON."""

    def read(text: str) -> Settings:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _prepare(arguments: argparse.Namespace) -> None:
    _import_tensorflow()
    from ablation.data.issues import summary_lines
    from ablation.data.prepare import prepare
    from ablation.training.code import data_code, require_code

    settings = arguments.settings
    code = data_code(settings)
    require_code(code, arguments.code)
    description = prepare(
        settings, arguments.folder, files_digest=arguments.files_digest, code=code
    )
    print("\n".join(summary_lines(description)), flush=True)


def _findings(arguments: argparse.Namespace) -> None:
    from ablation.data.issues import summary_lines
    from ablation.data.prepared import read_description

    for file in arguments.descriptions:
        lines = summary_lines(read_description(file.parent))
        print(f"{file.parent.parent.name} ({file.parent.name})")
        print("\n".join(f"  {line}" for line in lines))


def _fetch_weights(arguments: argparse.Namespace) -> None:
    _import_tensorflow()
    from ablation.data.disk import require_disk_space
    from ablation.data.progress import downloaded, folder_size, progress_lines
    from ablation.models.pretrained import IMAGENET_WEIGHTS_SIZE, imagenet_weights_file

    folder, size = arguments.file.parent, IMAGENET_WEIGHTS_SIZE
    what = "ImageNet weights"
    require_disk_space(folder, size, what, "free some, or give a weights file in the study")

    def line() -> str:
        return downloaded(what, sum(map(folder_size, folder.glob(".fetch-*"))), size)

    with progress_lines(line):
        imagenet_weights_file(folder, name=arguments.file.name)
    print(f"{what}: downloaded", flush=True)


def _train(arguments: argparse.Namespace) -> None:
    from ablation.training.job import train_job
    from ablation.training.signals import Interrupted

    try:
        train_job(
            arguments.settings,
            arguments.data.parent,
            arguments.outputs,
            weights_file=arguments.weights,
            code=arguments.code,
            checkpoints=arguments.checkpoints,
            log=arguments.log,
        )
    except Interrupted as stop:
        print(f"error: {stop}", file=sys.stderr)
        sys.exit(stop.exit_code)


def _config(arguments: argparse.Namespace) -> Config:
    return load_config(arguments.config, None if arguments.no_config_file else CONFIG_FILE)


def _plan(arguments: argparse.Namespace) -> Plan:
    return load_plan(_config(arguments), results=arguments.results)


def _resolve(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments)
    if arguments.digest not in (None, part_digests(plan).get(arguments.part)):
        raise InputError("the study was edited while it ran: run snakemake again")
    write_plan(plan, arguments.file)


def _describe_models(arguments: argparse.Namespace) -> None:
    plan = read_plan(arguments.plan)
    _import_tensorflow()
    from ablation.models.table import describe_models

    describe_models(models_request(plan), plan.tables / "models.json")


def _gallery(arguments: argparse.Namespace) -> None:
    plan = read_plan(arguments.plan)
    _import_tensorflow()
    from ablation.augmentation.gallery import draw_gallery

    draw_gallery(gallery_request(plan), plan.tables / "gallery.npz")


def _analyse(arguments: argparse.Namespace) -> None:
    from ablation.analysis.analyse import analyse
    from ablation.progress.sweep import sweep

    plan = read_plan(arguments.plan)
    analyse(plan, plan.tables)
    sweep(plan.runs.values())


def _report(arguments: argparse.Namespace) -> None:
    from ablation.report.render import render

    plan = read_plan(arguments.plan)
    render(plan.name, plan.tables, plan.reports)


def _partial(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments)
    _import_tensorflow()
    from ablation.progress.partial import report_partial

    report_partial(plan)
    print(plan.reports / f"{plan.name}-partial.html")


def _show_plan(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments)
    from ablation.progress.overview import overview_of, plan_parts
    from ablation.progress.sensitivity import factor_of, sensitivities, sensitivity_parts
    from ablation.progress.terminal import show

    overview = overview_of(plan)
    done = {standing.run.folder for standing in overview.of("done")}
    found = sensitivities(plan, done, factor_of(plan))
    show([*plan_parts(overview, arguments.at_once), *sensitivity_parts(found)], arguments.log)


def _show_status(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments)
    from ablation.progress.overview import overview_of, status_parts
    from ablation.progress.terminal import show

    show(status_parts(overview_of(plan), arguments.at_once), arguments.log)


def _recheck(arguments: argparse.Namespace) -> None:
    from ablation.progress.recheck import recheck

    if not recheck(_plan(arguments), _config(arguments).recheck):
        sys.exit(1)


def _judge(arguments: argparse.Namespace) -> None:
    from ablation.analysis.judge import judge, notes, read_scores, write_verdicts

    scores = read_scores(arguments.scores)
    verdicts = judge(scores, arguments.reference, arguments.margin)
    if arguments.output is not None:
        if arguments.output.resolve() == arguments.scores.resolve():
            raise InputError(
                f"--output: {arguments.output} is the file of the scores; give another file"
            )
        write_verdicts(verdicts, arguments.output)
    print(verdicts.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    for note in notes(scores, verdicts):
        print(f"note: {note}")


def _archive(arguments: argparse.Namespace) -> None:
    from ablation.archive.write import write_archive

    named = {} if arguments.study is None else {"study": arguments.study}
    plan = load_plan(load_config({**arguments.config, **named}))
    print(write_archive(plan, images=not arguments.without_images))


def _verify(arguments: argparse.Namespace) -> None:
    from ablation.archive.verify import verify

    if not verify(arguments.file, arguments.rerun):
        sys.exit(1)


def _prune(arguments: argparse.Namespace) -> None:
    from ablation.study.prune import prune

    prune(_config(arguments), Path(arguments.results))


def _schema(arguments: argparse.Namespace) -> None:
    from ablation.study.json_schema import write_schemas

    write_schemas(arguments.folder)


def _reference(arguments: argparse.Namespace) -> None:
    from ablation.study.reference import write_reference

    write_reference(arguments.file)


if __name__ == "__main__":
    main()
