"""Which machine this is."""

import pytest

from ablation.progress.machine import Machine, machine_of, this_machine
from ablation.training.hardware import gpu_names, processor_name


def test_it_is_named_as_in_the_records_of_the_runs():
    from ablation.training.environment import describe_environment

    recorded = describe_environment()
    assert this_machine().processor == recorded["processor"]
    assert this_machine().matches(machine_of({"environment": recorded}))


def test_the_driver_tells_the_cards(tmp_path):
    for name, model in (("a", "NVIDIA H100 80GB HBM3"), ("b", "NVIDIA L4"), ("c", "NVIDIA L4")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 24\n")
    assert gpu_names(tmp_path) == ("NVIDIA H100 80GB HBM3", "NVIDIA L4")
    assert gpu_names(tmp_path / "missing") == ()


def test_the_kernel_tells_the_processor(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Some CPU: fast\nprocessor\t: 1\n")
    assert processor_name(file) == "Some CPU: fast"
    file.write_text("processor\t: 0\n")
    assert processor_name(file)  # what Python knows


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_cards_are_none(monkeypatch, value):
    monkeypatch.setattr("ablation.progress.machine.gpu_names", lambda: ("Some GPU",))
    assert this_machine().gpus == ("Some GPU",)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert this_machine().gpus == ("Some GPU",)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert this_machine().gpus == ()


@pytest.mark.parametrize(
    ("gpus", "same"), [(("A", "B"), True), (("A",), True), (("A", "C"), False), ((), False)]
)
def test_a_job_may_have_seen_some_of_the_cards(gpus, same):
    assert Machine("CPU", ("A", "B")).matches(Machine("CPU", gpus)) == same
    assert not Machine("CPU", ()).matches(Machine("CPU", ("A",)))
