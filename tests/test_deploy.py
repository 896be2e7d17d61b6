"A finished run away from the notebook: the same scores, without torch, from good and bad folders."
import csv, os, shutil, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch
from PIL import Image
from conftest import ROOT, last_error, papermill
from layouts import make_mvtec_ad
from mudenet import bench_inference
from mudenet.config import UserError
from mudenet.data import resize_images
from mudenet.deploy import main, open_scorer, overlay_path, predict
from mudenet.export import TorchScorer, export, open_run
from mudenet.records import write_json
from mudenet.score import anomaly_maps, image_scores, raw_maps
from mudenet.scorer import Scorer
from mudenet.study import execute, load_images, plan_run


@pytest.fixture(scope='module')
def smoke(tmp_path_factory):
    "A smoke run on the generated cable, its images and its result."
    run = plan_run(budget='smoke', runs_dir=tmp_path_factory.mktemp('runs'))
    ds = load_images(run)
    return run, ds, execute(run, ds)


@pytest.fixture(scope='module')
def files(smoke, tmp_path_factory):
    "That run as .onnx and as .pt2."
    folder = tmp_path_factory.mktemp('files')
    for name in ('run.onnx', 'run.pt2'): assert main(['export', str(smoke[0].folder), str(folder/name)]) == 0
    return folder


@pytest.fixture(scope='module')
def pictures(smoke, tmp_path_factory):
    "Its test images as a folder with folders."
    folder = tmp_path_factory.mktemp('pictures')
    for name, image in zip(smoke[1].paths, smoke[1].test):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1,2,0).numpy()).save(folder/name)
    return folder


def rows(out):
    with open(out/'scores.csv', newline='') as f: return {r['path']: r for r in csv.DictReader(f)}


def blocked(folder, *names):
    "An environment in which importing those packages fails."
    for name in names:
        (folder/name).mkdir(parents=True)
        (folder/name/'__init__.py').write_text("raise ImportError('not here')")
    return os.environ | dict(PYTHONPATH=f'{folder}{os.pathsep}{ROOT}')


@pytest.mark.parametrize('name, kind', [('run.onnx', Scorer), ('run.pt2', TorchScorer)])
def test_a_file_gives_the_notebooks_scores(smoke, files, name, kind):
    run, ds, result = smoke
    scorer = kind(files/name)
    for batch in (1, 5, len(ds.test)):
        maps, scores = map(np.concatenate, zip(*(scorer(b.numpy()) for b in ds.test.split(batch))))
        assert np.abs(scores - [i['score'] for i in result.record['images']]).max() < 1e-4
        assert np.abs(maps - result.maps.numpy()).max() < 1e-4
    facts = scorer.facts
    assert (facts['experiment'], facts['seed'], facts['config_hash'], facts['image_size']) == ('retained', 42, run.config.hash(), 64)
    assert facts['held_out'] == 2 and facts['fpr'] == pytest.approx(1/3) and facts['threshold'] == scorer.threshold > 0


def test_a_file_names_no_place(smoke, files):
    for path in files.iterdir():
        assert not [p for p in (str(smoke[0].folder), str(ROOT), str(Path.home()), sys.prefix) if p != '/' and p.encode() in path.read_bytes()], path


def test_without_torch_onnxruntime_numpy_and_pillow_score(smoke, files, pictures, tmp_path):
    env = blocked(tmp_path/'stubs', 'torch', 'torchvision', 'timm', 'scipy', 'pandas', 'sklearn', 'matplotlib', 'tqdm', 'onnx', 'safetensors', 'yaml')
    code = f"from mudenet.scorer import Scorer\nimport numpy as np\ns = Scorer({str(files/'run.onnx')!r})\nprint(*s(np.stack([s.read(p) for p in {[str(pictures/p) for p in smoke[1].paths]!r}]))[1])"
    done = subprocess.run([sys.executable, '-c', code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.array(done.stdout.split(), float) - [i['score'] for i in smoke[2].record['images']]).max() < 1e-4
    assert subprocess.run([sys.executable, '-c', 'import torch'], env=env, capture_output=True).returncode == 1


def test_the_command_predicts_without_torch(smoke, files, pictures, tmp_path):
    command = [sys.executable, '-m', 'mudenet.deploy', 'predict', files/'run.onnx', pictures, tmp_path/'out']
    done = subprocess.run([*map(str, command)], env=blocked(tmp_path/'stubs', 'torch'), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    scores = {i['path']: i['score'] for i in smoke[2].record['images']}
    assert {p: float(r['score']) for p, r in rows(tmp_path/'out').items()} == pytest.approx(scores, abs=1e-4)
    assert f'{len(scores)} images scored' in done.stdout


@pytest.mark.parametrize('form', ['folder', 'run.onnx', 'run.pt2'])
def test_every_form_of_a_run_predicts_the_same(smoke, files, pictures, form, tmp_path):
    run, ds, result = smoke
    found = predict(run.folder if form == 'folder' else files/form, pictures, tmp_path/'out')
    table, threshold = rows(tmp_path/'out'), open_scorer(files/'run.onnx').threshold
    assert found['facts']['threshold'] == pytest.approx(threshold, abs=1e-6)
    for image in result.record['images']:
        row = table[image['path']]
        assert float(row['score']) == pytest.approx(image['score'], abs=1e-4)
        if abs(image['score'] - threshold) > 1e-3: assert row['verdict'] == ('anomalous' if image['score'] > threshold else 'nominal')
        with Image.open(overlay_path(tmp_path/'out', image['path'])) as im: assert im.width > 2*64
    assert len(table) == len(ds.test) == found['images'] and found['anomalous'] == sum(r['verdict'] == 'anomalous' for r in table.values())


def test_the_threshold_is_that_of_the_held_out_images(smoke, files):
    run, ds, result = smoke
    held = ds.split(run.config.data.holdout, run.seed)[1]
    nets = open_run(run.folder).nets
    raw = raw_maps(nets, ds.train[held], run.config.compute)
    limits = lambda r: torch.stack([r.amin((0,3,4), keepdim=True)[0], r.amax((0,3,4), keepdim=True)[0]])
    scores = [image_scores(anomaly_maps(raw[i:i+1], limits(raw[1-i:2-i]), run.config.score, 64)).item() for i in (0, 1)]
    assert Scorer(files/'run.onnx').threshold == pytest.approx(max(scores), abs=1e-6)


def test_pictures_that_are_not_square_score_as_the_notebook_resizes_them(files, tmp_path):
    scorer, g = Scorer(files/'run.onnx'), np.random.default_rng(0)
    for i, shape in enumerate(((90,160), (300,70), (64,200), (33,50))):
        coarse = Image.fromarray(g.integers(0, 256, (9,9,3), np.uint8)).resize(shape[::-1], Image.Resampling.BICUBIC)
        coarse.save(tmp_path/f'{i}.png')
    ours = np.stack([scorer.read(tmp_path/f'{i}.png') for i in range(4)])
    notebook = np.stack([resize_images(torch.from_numpy(np.asarray(Image.open(tmp_path/f'{i}.png')).copy()).permute(2,0,1)[None], 64)[0].numpy() for i in range(4)])
    assert np.abs(ours.astype(int) - notebook).max() <= 1
    assert scorer(ours)[1] == pytest.approx(scorer(notebook)[1], rel=.01)


def test_corrupt_pictures_are_listed_and_the_rest_goes_on(smoke, files, pictures, tmp_path, capsys):
    folder = Path(shutil.copytree(pictures, tmp_path/'pictures'))
    first = sorted(folder.rglob('*.png'))[0]
    first.write_bytes(first.read_bytes()[:100])
    (folder/'text.jpg').write_text('not a picture'); (folder/'empty.bmp').touch(); (folder/'notes.txt').write_text('no picture at all')
    assert main(['predict', str(files/'run.onnx'), str(folder), str(tmp_path/'out')]) == 0
    said, bad = capsys.readouterr().out, {first.relative_to(folder).as_posix(), 'text.jpg', 'empty.bmp'}
    assert '3 skipped' in said and all(b in said for b in bad)
    with open(tmp_path/'out'/'skipped.csv', newline='') as f: assert {r['path'] for r in csv.DictReader(f)} == bad
    assert set(rows(tmp_path/'out')) == set(smoke[1].paths) - bad


def test_nothing_but_corrupt_pictures(files, tmp_path, capsys):
    (tmp_path/'pictures').mkdir(); (tmp_path/'pictures'/'a.png').touch()
    assert main(['predict', str(files/'run.onnx'), str(tmp_path/'pictures'), str(tmp_path/'out')]) == 0
    assert '0 images scored' in capsys.readouterr().out and rows(tmp_path/'out') == {}


def test_one_picture_of_another_shape_and_kind(files, tmp_path):
    Image.new('LA', (90, 40), (80, 255)).save(tmp_path/'grey.png')
    assert predict(files/'run.onnx', tmp_path/'grey.png', tmp_path/'out')['images'] == 1
    assert list(rows(tmp_path/'out')) == ['grey.png']


def test_a_finished_prediction_is_kept_and_overwrite_replaces_it(files, pictures, tmp_path):
    out, some = tmp_path/'out', sorted(pictures.rglob('*.png'))[:2]
    predict(files/'run.onnx', some[0], out)
    (out/'notes.txt').write_text('mine')
    before = (out/'scores.csv').read_bytes()
    with pytest.raises(UserError, match='holds a finished prediction'): predict(files/'run.onnx', some[1], out)
    assert (out/'scores.csv').read_bytes() == before
    predict(files/'run.onnx', some[1], out, overwrite=True)
    assert list(rows(out)) == [some[1].name] and [p.name for p in (out/'overlays').iterdir()] == [some[1].name] and (out/'notes.txt').exists()


def test_what_was_written_is_not_scored_again(files, pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path/'pictures'))
    n = predict(files/'run.onnx', folder, folder/'out')['images']
    assert predict(files/'run.onnx', folder, folder/'out', overwrite=True)['images'] == n


@pytest.mark.parametrize('change, says', [
    (dict(run='nowhere'), 'nowhere does not exist'), (dict(run='empty'), 'holds no record.json'), (dict(run='text.onnx'), 'is not a deployed run'), (dict(run='text.pt2'), 'is not a deployed run'),
    (dict(images='nowhere'), 'nowhere do not exist'), (dict(images='empty'), 'holds no images'), (dict(out='text.onnx'), 'cannot be written')])
def test_predict_refuses_in_one_sentence(files, pictures, change, says, tmp_path, capsys):
    (tmp_path/'empty').mkdir()
    for name in ('text.onnx', 'text.pt2'): (tmp_path/name).write_text('no graph')
    given = dict(run=files/'run.onnx', images=pictures, out=tmp_path/'out') | {k: tmp_path/v for k, v in change.items()}
    assert main(['predict', *map(str, given.values())]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said and '\n' not in said and not (tmp_path/'out'/'scores.csv').exists()


@pytest.mark.parametrize('args, says', [(['x.bin'], 'must end in .onnx'), (['x.onnx', '--fpr', '2'], 'between 0 and 1'), (['there.onnx'], 'exists')])
def test_export_refuses_in_one_sentence(smoke, args, says, tmp_path, capsys):
    (tmp_path/'there.onnx').write_text('mine')
    assert main(['export', str(smoke[0].folder), str(tmp_path/args[0]), *args[1:]]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said and '\n' not in said and [p.name for p in tmp_path.iterdir()] == ['there.onnx']


def test_a_damaged_run_is_named(smoke, tmp_path):
    for name, damage in (('s1.safetensors', b'damaged'), ('record.json', b'{}')):
        folder = Path(shutil.copytree(smoke[0].folder, tmp_path/name))
        (folder/name).unlink(); (folder/name).write_bytes(damage)
        with pytest.raises(UserError, match=name): export(folder, tmp_path/'x.onnx')


def test_a_run_on_a_folder_is_deployed_without_its_images(tmp_path):
    make_mvtec_ad(tmp_path/'data')
    run = plan_run(budget='smoke', data_root=tmp_path/'data', runs_dir=tmp_path/'runs')
    execute(run, load_images(run))
    shutil.rmtree(tmp_path/'data')
    assert export(run.folder, tmp_path/'run.onnx')['held_out'] == 1


@pytest.mark.skipif(sys.platform != 'linux', reason="reads the peak from Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_pictures(files, tmp_path):
    g = np.random.default_rng(0)
    picture = Image.fromarray(g.integers(0, 256, (9,9,3), np.uint8)).resize((600,600), Image.Resampling.BICUBIC)
    code = "import sys; from mudenet.deploy import predict; predict(*sys.argv[1:]); print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    peaks = []
    for n in (16, 96):                                  # 80 more pictures of 1 MB, decoded, and 80 overlays of 2 MB
        folder = tmp_path/f'{n}'
        folder.mkdir()
        for i in range(n): picture.save(folder/f'{i}.bmp')
        done = subprocess.run([sys.executable, '-c', code, str(files/'run.onnx'), str(folder), str(tmp_path/f'out{n}')], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout)/1024)
    assert peaks[1] - peaks[0] < 40, peaks


def test_the_notebook_predicts_and_refuses(files, pictures, tmp_path):
    given = ['-p', 'run', str(files/'run.onnx'), '-p', 'images', str(pictures)]
    done = papermill(str(tmp_path/'out.ipynb'), *given, '-p', 'out', str(tmp_path/'out'), notebook='predict')
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path/'out')) == len(list(pictures.rglob('*.png'))) and 'image/png' in (tmp_path/'out.ipynb').read_text()
    for more, says in ((['-p', 'image', 'x'], "did you mean 'images'?"), ([], "Parameter 'out' is empty")):
        refused = papermill(os.devnull, *given, *more, notebook='predict')
        assert refused.returncode == 1 and says in last_error(refused)


def test_two_pictures_never_share_a_heatmap(files, tmp_path):
    for name in ('a.jpg', 'a.jpg.png'): Image.new('RGB', (64,64)).save(tmp_path/name)
    with pytest.raises(UserError, match='rename one'): predict(files/'run.onnx', tmp_path, tmp_path/'out')


def test_every_branch_and_range_is_deployed(tmp_path):
    overrides = {'score': {'backbone_branch': True, 'normalize_by': 'position', 'structural_levels': 'last'}}
    run = plan_run(budget='smoke', runs_dir=tmp_path, overrides=overrides)
    ds = load_images(run)
    record = execute(run, ds).record
    export(run.folder, tmp_path/'run.onnx')
    scores = Scorer(tmp_path/'run.onnx')(ds.test.numpy())[1]
    assert np.abs(scores - [i['score'] for i in record['images']]).max() < 1e-4

    write_json(run.record_path, record | dict(backbone_weights='of another file'))
    with pytest.raises(UserError, match='weights of efficientnet_lite0 are not those'): open_run(run.folder)


@pytest.mark.parametrize('normalize_on', ['holdout', 'train'])
def test_eight_bits_cost_nothing_where_they_are_thirty_two(normalize_on, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_inference, 'EIGHT_BITS', {'none': lambda graph, images: bench_inference.onnx_runtime(graph)})
    run = plan_run(budget='smoke', runs_dir=tmp_path, overrides={'score.normalize_on': normalize_on})
    execute(run, load_images(run))
    rows = list(bench_inference.eight_bit_rows(run.folder, None))
    assert len(rows) == 3 and all(ratio == pytest.approx(1, abs=1e-4) for _, ratio, *_ in rows)
