"""What is left of checkpoints when a study is analysed."""

from pathlib import Path

from ablation.progress.sweep import sweep


def test_folders_of_finished_runs_go_and_others_stay(place):
    finished, failed, new = place.run("none", 0), place.run("none", 1), place.run("flip", 0)
    for run, state in ((finished, "finished"), (failed, "failed")):
        place.status(run, state, [0.5])
    (Path(finished.checkpoints) / "finished").mkdir()
    sweep([finished, failed, new])
    assert not Path(finished.checkpoints).exists()
    assert Path(failed.checkpoints).is_dir()
    (Path(failed.checkpoints) / "finished").mkdir()
    sweep([failed])
    assert not Path("results/checkpoints").exists()
    assert Path("results").is_dir()
