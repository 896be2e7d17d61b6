"A deployed file gives the run's scores, without torch, and names no place; bad folders and files are refused."
import os, shutil, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch
from conftest import ROOT
from deployed import files, image_scores, pictures, smoke     # noqa: F401, fixtures
from layouts import make_mvtec_ad
from PIL import Image
from mudenet.core.errors import UserError
from mudenet.core.files import read_json, write_json
from mudenet.data.dataset import resize_images
from mudenet.deploy.export import TorchScorer, export, open_run
from mudenet.deploy.scorer import Scorer
from mudenet.model.score import anomaly_maps
from mudenet.study.execute import execute, load_images
from mudenet.study.run import Run, plan_run

# ruff: noqa: F811


def blocked(folder, *names):
    "An environment in which importing those packages fails."
    for name in names:
        (folder/name).mkdir(parents=True)
        (folder/name/'__init__.py').write_text("raise ImportError('not here')")
    return os.environ | dict(PYTHONPATH=f'{folder}{os.pathsep}{ROOT}')


@pytest.mark.parametrize('name, kind', [('run.onnx', Scorer), ('run.pt2', TorchScorer)])
def test_a_file_gives_the_runs_scores_in_batches_of_any_size(smoke, files, name, kind):
    job, ds, result = smoke
    scorer = kind(files/name)
    for batch in (1, 5, len(ds.test)):
        maps, scores = map(np.concatenate, zip(*(scorer(b.numpy()) for b in ds.test.split(batch))))
        assert np.abs(scores - image_scores(result)).max() < 1e-4
        assert np.abs(maps - result.maps.numpy()).max() < 1e-4
    with pytest.raises(UserError, match='takes uint8'): scorer(ds.test.float().numpy())


@pytest.mark.parametrize('name, kind', [('run.onnx', Scorer), ('run.pt2', TorchScorer)])
def test_a_file_says_what_it_was_made_from(smoke, files, name, kind):
    scorer, config = kind(files/name), smoke[0].config
    f = scorer.facts
    assert (f['experiment'], f['seed'], f['config_hash'], f['image_size']) == ('retained', 42, config.hash(), 64)
    assert f['held_out'] == 2 and f['fpr'] == pytest.approx(1/3) and f['threshold'] == scorer.threshold > 0


def test_a_file_names_no_place(smoke, files):
    places = [p for p in (str(smoke[0].folder), str(ROOT), str(Path.home()), sys.prefix) if p != '/']
    for path in files.iterdir():
        content = path.read_bytes()
        assert not [p for p in places if p.encode() in content], path


SCORE_CODE = """
import sys
import numpy as np
from mudenet.deploy.scorer import Scorer
scorer = Scorer(sys.argv[1])
print(*scorer(np.stack([scorer.read(p) for p in sys.argv[2:]]))[1])
"""


def test_onnxruntime_numpy_and_pillow_are_enough_to_score(smoke, files, pictures, tmp_path):
    env = blocked(tmp_path/'stubs', 'torch', 'torchvision', 'timm', 'scipy', 'pandas', 'sklearn', 'matplotlib',
                  'tqdm', 'onnx', 'safetensors', 'yaml')
    command = [sys.executable, '-c', SCORE_CODE, files/'run.onnx', *(pictures/p for p in smoke[1].paths)]
    done = subprocess.run([*map(str, command)], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.array(done.stdout.split(), float) - image_scores(smoke[2])).max() < 1e-4
    assert subprocess.run([sys.executable, '-c', 'import torch'], env=env, capture_output=True).returncode == 1


def test_the_threshold_is_that_of_the_held_out_images(smoke, files):
    "Two images are held out, so that each is normalized by the other's range; the larger score is the threshold."
    job, ds, _ = smoke
    calibration_idx = ds.split(job.config.data.holdout, job.seed)[1]
    distances = open_run(job.folder).model.distance_maps(ds.train[calibration_idx], job.config.compute)
    scores = []
    for i in (0, 1):
        other = distances[1-i:2-i]
        range_ = torch.stack([other.amin((0,3,4), keepdim=True)[0], other.amax((0,3,4), keepdim=True)[0]])
        scores.append(anomaly_maps(distances[i:i+1], range_, job.config.score, 64).max().item())
    assert Scorer(files/'run.onnx').threshold == pytest.approx(max(scores), abs=1e-6)


def test_pictures_that_are_not_square_score_as_a_run_resizes_them(files, tmp_path):
    scorer, g = Scorer(files/'run.onnx'), np.random.default_rng(0)
    ours, expected = [], []
    for i, (h, w) in enumerate(((90,160), (300,70), (64,200), (33,50))):
        picture = Image.fromarray(g.integers(0, 256, (9,9,3), np.uint8)).resize((w, h), Image.Resampling.BICUBIC)
        picture.save(tmp_path/f'{i}.png')
        ours.append(scorer.read(tmp_path/f'{i}.png'))
        expected.append(resize_images(torch.from_numpy(np.array(picture)).permute(2,0,1)[None], 64)[0].numpy())
    ours, expected = np.stack(ours), np.stack(expected)
    assert np.abs(ours.astype(int) - expected).max() <= 1
    assert scorer(ours)[1] == pytest.approx(scorer(expected)[1], rel=.01)


@pytest.mark.parametrize('name, fpr, says', [
    ('x.bin', .05, 'must end in .onnx'), ('x.onnx', 2, 'between 0 and 1'),
    ('there.onnx', .05, 'exists; give another name')])
def test_export_refuses_in_one_sentence(smoke, name, fpr, says, tmp_path):
    (tmp_path/'there.onnx').write_text('mine')
    with pytest.raises(UserError, match=says) as e: export(smoke[0].folder, tmp_path/name, fpr)
    assert '\n' not in str(e.value) and [p.name for p in tmp_path.iterdir()] == ['there.onnx']


@pytest.mark.parametrize('name, damage', [('student1.safetensors', b'damaged'), ('range.safetensors', b'damaged'),
                                          ('record.json', b'{}')])
def test_a_damaged_file_of_a_run_is_named(smoke, name, damage, tmp_path):
    folder = Path(shutil.copytree(smoke[0].folder, tmp_path/'run'))
    (folder/name).unlink()
    (folder/name).write_bytes(damage)
    with pytest.raises(UserError, match=name): export(folder, tmp_path/'x.onnx')


@pytest.mark.parametrize('change, says', [(dict(config_hash='0'), 'another config than its hash 0 says'),
                                          (dict(experiment='memory-bank'), 'which has no networks to read back')])
def test_another_record_is_refused(smoke, change, says, tmp_path):
    folder = Path(shutil.copytree(smoke[0].folder, tmp_path/'run'))
    write_json(folder/'record.json', read_json(folder/'record.json') | change)
    with pytest.raises(UserError, match=says): open_run(folder)


def test_a_run_on_a_folder_is_deployed_without_its_images(tmp_path):
    make_mvtec_ad(tmp_path/'data')
    job = plan_run(Run(budget='smoke', data_root=tmp_path/'data', runs_dir=tmp_path/'runs'))
    execute(job, load_images(job))
    shutil.rmtree(tmp_path/'data')
    assert export(job.folder, tmp_path/'run.onnx')['held_out'] == 1


def test_every_branch_and_range_is_deployed_and_other_weights_are_refused(tmp_path):
    overrides = {'score': {'backbone_branch': True, 'normalize_by': 'position', 'structural_levels': 'last'}}
    job = plan_run(Run(budget='smoke', runs_dir=tmp_path, overrides=overrides))
    ds = load_images(job)
    result = execute(job, ds)
    export(job.folder, tmp_path/'run.onnx')
    assert np.abs(Scorer(tmp_path/'run.onnx')(ds.test.numpy())[1] - image_scores(result)).max() < 1e-4

    record = job.folder/'record.json'
    write_json(record, read_json(record) | dict(backbone_weights='of another file'))
    with pytest.raises(UserError, match='weights of efficientnet_lite0 are not those'): open_run(job.folder)
