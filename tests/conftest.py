"What several tests share: ways to run the notebook."
import os, subprocess, sys
os.environ['OMP_NUM_THREADS'] = '1'      # before torch starts: the bits of a run depend on it, here and in the processes started from here; two test files run at a time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def papermill(*args, cwd=ROOT, notebook='run'):
    "Type `papermill experiments/run.ipynb …` in a terminal; returns the finished process."
    command = [Path(sys.executable).with_name('papermill'), ROOT/'experiments'/f'{notebook}.ipynb', *args, '--no-progress-bar']
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=600)


def last_error(process):
    "The sentence that a failed papermill run ends with."
    return process.stderr.strip().splitlines()[-1]
