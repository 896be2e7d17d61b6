"What several tests share: ways to run the notebook, and one smoke run."
import os, subprocess, sys
os.environ['OMP_NUM_THREADS'] = '1'      # before torch starts, here and in child processes: a run's bits depend on it
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted([*(ROOT/'nbs').glob('*.ipynb'), *(ROOT/'nbs').glob('[!.]*/*.ipynb')])     # no checkpoints of Jupyter


def papermill(*args, cwd=ROOT, notebook='run'):
    "Type `papermill experiments/run.ipynb …` in a terminal; returns the finished process."
    executable = Path(sys.executable).with_name('papermill')
    command = [executable, ROOT/'experiments'/f'{notebook}.ipynb', *args, '--no-progress-bar']
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=600)


def last_error(process):
    "The sentence that a failed papermill run ends with."
    return process.stderr.strip().splitlines()[-1]


def comparable(record):
    "A record as a dict, without what differs between two runs of the same thing."
    differs = ('durations', 'peak_memory', 'environment', 'reused', 'digest')
    return {k: v for k, v in record.to_dict().items() if k not in differs}


def smoke_job(runs_dir, experiment='retained', **parameters):
    "A checked run at the smoke budget."
    from mudenet.study.run import Run, plan_run
    return plan_run(Run(experiment, budget='smoke', runs_dir=str(runs_dir), **parameters))


@pytest.fixture(scope='session')
def smoke_run(tmp_path_factory):
    "A smoke run on the generated cable: its job, its images and its result. Tests only read it, or run beside it."
    from mudenet.study.execute import execute, load_images
    job = smoke_job(tmp_path_factory.mktemp('smoke')/'runs')
    ds = load_images(job)
    return job, ds, execute(job, ds)
