"`mudenet data` in a terminal, and a run that is refused for its data before anything else."
import json, subprocess, sys, tarfile
import pytest
from layouts import make_mvtec_ad
from mudenet.core.errors import UserError
from mudenet.study.run import Run, plan_run


@pytest.fixture
def root(tmp_path):
    make_mvtec_ad(tmp_path/'mvtec_ad')
    return tmp_path/'mvtec_ad'


def mudenet(*words):
    command = [sys.executable, '-m', 'mudenet', *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_check_ends_with_1_where_anything_is_wrong(root):
    whole, as_json = mudenet('data', 'check', root), mudenet('data', 'check', root, '--json')
    assert whole.returncode == 0 and 'Nothing is wrong' in whole.stdout
    assert as_json.returncode == 0 and json.loads(as_json.stdout)[0]['benchmark'] == 'mvtec_ad'
    (root/'nut/ground_truth/cut/000_mask.png').unlink()
    faulty = mudenet('data', 'check', root, '--dataset', 'mvtec_ad')
    assert faulty.returncode == 1 and '000.png has no mask' in faulty.stdout and '1 fault.' in faulty.stdout


def test_an_archive_is_unpacked_once(root, tmp_path):
    with tarfile.open(tmp_path/'nut.tar.xz', 'w:xz') as t: t.add(root/'nut', 'nut')
    first, again = (mudenet('data', 'unpack', tmp_path/'nut.tar.xz', tmp_path/'out') for _ in range(2))
    assert first.returncode == 0 and '10 files' in first.stdout
    assert f"mudenet data check {tmp_path/'out'}" in first.stdout
    assert again.returncode == 2 and 'exists already' in again.stderr and again.stderr.count('\n') == 1


def test_the_layout_is_checked_before_anything_else(root, tmp_path):
    with pytest.raises(UserError, match='there are: nut'):
        plan_run(Run(budget='smoke', data_root=str(root), category='bottle', runs_dir=str(tmp_path)))
    for p in (root/'nut/train/good').iterdir(): p.unlink()
    with pytest.raises(UserError, match='holds no images'):
        plan_run(Run(budget='smoke', data_root=str(root), runs_dir=str(tmp_path)))
