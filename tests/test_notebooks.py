"The notebooks are the source: they run, export to what is committed, and are clean."
import os, shutil, subprocess, sys
from pathlib import Path
import pytest
from conftest import NOTEBOOKS, ROOT

EXECUTED = sorted((ROOT/'experiments'/'executed').glob('*.ipynb'))      # runs that are kept as they ended
LEFT_OUT = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '.last_checked', 'executed')


def nbdev(command, *args, cwd=ROOT):
    done = subprocess.run([Path(sys.executable).with_name(command), *args], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope='module')
def lessons():
    "A process that forks itself for each lesson, so that torch is imported once."
    command, env = [sys.executable, ROOT/'tests'/'lesson_runner.py'], os.environ | {'OMP_NUM_THREADS': '1'}
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=env, text=True, bufsize=1, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda path: path.stem)
def test_lessons_hold(notebook, lessons, tmp_path):
    output = tmp_path/'output'
    print(notebook, output, sep='\t', file=lessons.stdin, flush=True)
    status = lessons.stdout.readline().strip()
    assert status == '0', output.read_text()


@pytest.fixture
def checkout(tmp_path):
    "A copy of what nbdev reads and writes."
    for name in ('nbs', 'mudenet', 'experiments'): shutil.copytree(ROOT/name, tmp_path/name, ignore=LEFT_OUT)
    for name in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp_path)
    return tmp_path


def contents(folder, pattern):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob(pattern) if '__pycache__' not in p.parts}


def test_export_reproduces_the_package(checkout):
    before = contents(checkout/'mudenet', '*.py')
    shutil.rmtree(checkout/'mudenet')
    (checkout/'mudenet').mkdir()
    shutil.copy(ROOT/'mudenet'/'__init__.py', checkout/'mudenet')
    nbdev('nbdev_export', cwd=checkout)
    assert contents(checkout/'mudenet', '*.py') == before


def test_clean_changes_nothing(checkout):
    before = contents(checkout, '*.ipynb')
    nbdev('nbdev_clean', cwd=checkout)
    nbdev('nbdev_clean', '--fname', 'experiments', cwd=checkout)
    assert contents(checkout, '*.ipynb') == before


def test_no_committed_notebook_names_a_place():
    for path in [*NOTEBOOKS, *EXECUTED, *(ROOT/'experiments').glob('*.ipynb')]:
        text = path.read_text()
        assert not [place for place in ('/home/', '/root/', '/Users/', '/work/', '/tmp/') if place in text], path


@pytest.mark.parametrize('path', EXECUTED, ids=lambda path: path.stem)
def test_a_kept_run_is_small(path): assert path.stat().st_size <= 400_000
