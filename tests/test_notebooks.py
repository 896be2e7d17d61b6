"The notebooks are the source: they run, export to what is committed, and are clean."
import shutil, subprocess, sys
from pathlib import Path
import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT/'nbs').glob('*.ipynb'))


def nbdev(command, *args, cwd=ROOT):
    done = subprocess.run([str(Path(sys.executable).with_name(command)), *args], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda p: p.stem)
def test_lessons_hold(notebook):
    nbdev('nbdev_test', '--path', str(notebook))


@pytest.fixture
def checkout(tmp_path):
    "A copy of what nbdev reads and writes."
    for name in ('nbs', 'mudenet', 'experiments'): shutil.copytree(ROOT/name, tmp_path/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '.last_checked'))
    for name in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp_path)
    return tmp_path


def contents(folder, pattern): return {p.relative_to(folder): p.read_bytes() for p in folder.rglob(pattern) if '__pycache__' not in p.parts}


def test_export_reproduces_the_package(checkout):
    before = contents(checkout/'mudenet', '*.py')
    for path in before: (checkout/'mudenet'/path).write_text('')
    shutil.copy(ROOT/'mudenet'/'__init__.py', checkout/'mudenet')
    (checkout/'mudenet'/'_modidx.py').unlink()
    nbdev('nbdev_export', cwd=checkout)
    assert contents(checkout/'mudenet', '*.py') == before


def test_clean_changes_nothing(checkout):
    before = contents(checkout, '*.ipynb')
    nbdev('nbdev_clean', cwd=checkout)
    nbdev('nbdev_clean', '--fname', 'experiments', cwd=checkout)
    assert contents(checkout, '*.ipynb') == before


def test_no_committed_notebook_names_a_place():
    for path in [*NOTEBOOKS, *(ROOT/'experiments').glob('*.ipynb')]:
        text = path.read_text()
        assert not [place for place in ('/home/', '/root/', '/Users/', '/work/', '/tmp/') if place in text], path
