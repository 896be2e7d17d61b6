"What several tests share: a folder of generated images, and ways to run the notebook."
import os, shutil, subprocess, sys
os.environ['OMP_NUM_THREADS'] = '2'      # before torch starts: the bits of a run depend on it, here and in the processes started from here
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]


def papermill(*args, cwd=ROOT, notebook='run'):
    "Type `papermill experiments/run.ipynb …` in a terminal; returns the finished process."
    command = [Path(sys.executable).with_name('papermill'), ROOT/'experiments'/f'{notebook}.ipynb', *args, '--no-progress-bar']
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=600)


def last_error(process):
    "The sentence that a failed papermill run ends with."
    return process.stderr.strip().splitlines()[-1]


@pytest.fixture(scope='session')
def cable_folder(tmp_path_factory):
    "A small generated cable, written out in MVTec AD layout; the dataset's root."
    from mudenet.cable import generate_cable, write_mvtec
    root = tmp_path_factory.mktemp('data')/'mvtec'
    write_mvtec(generate_cable(64, train=10, good=3, defects={'cable_swap': 2, 'bent_wire': 2}), root)
    return root


@pytest.fixture
def copy_of(cable_folder, tmp_path):
    "A copy of that folder, to be damaged."
    return Path(shutil.copytree(cable_folder, tmp_path/'mvtec'))
