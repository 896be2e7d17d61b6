"A prediction writes a table and heatmaps of what can be read, in bounded memory, and keeps what is not its own."
import csv, os, shutil, subprocess, sys
from pathlib import Path
import numpy as np, pytest
from conftest import ROOT, last_error, papermill
from deployed import files, image_scores, pictures, smoke, table_rows     # noqa: F401, fixtures
from PIL import Image
from test_export import blocked
from mudenet.core.errors import UserError
from mudenet.deploy.predict import describe_prediction, open_scorer, overlay_path, predict

# ruff: noqa: F811


def command(*args, env=None, cwd=ROOT):
    "The command line."
    args = [sys.executable, '-m', 'mudenet', *map(str, args)]
    return subprocess.run(args, env=env, cwd=cwd, capture_output=True, text=True)


def test_the_command_predicts_without_torch(smoke, files, pictures, tmp_path):
    env = blocked(tmp_path/'stubs', 'torch')
    done = command('predict', files/'run.onnx', pictures, tmp_path/'out', env=env, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    scores = dict(zip(smoke[1].paths, image_scores(smoke[2])))
    found = {p: float(r['score']) for p, r in table_rows(tmp_path/'out').items()}
    assert found == pytest.approx(scores, abs=1e-4)
    assert f'{len(scores)} images scored' in done.stdout


def test_the_command_exports_and_refuses_in_one_sentence(smoke, tmp_path):
    assert command('export', smoke[0].folder, tmp_path/'run.onnx').returncode == 0 and (tmp_path/'run.onnx').is_file()
    for args, says in ((('export', smoke[0].folder, tmp_path/'x.bin'), 'must end in .onnx'),
                       (('predict', tmp_path/'run.onnx', tmp_path/'nowhere', tmp_path/'out'), 'nowhere do not exist')):
        done = command(*args)
        assert done.returncode == 2 and says in done.stderr and '\n' not in done.stderr.strip()


@pytest.mark.parametrize('form', ['folder', 'run.onnx', 'run.pt2'])
def test_every_form_of_a_run_predicts_the_same(smoke, files, pictures, form, tmp_path):
    job, ds, result = smoke
    found = predict(job.folder if form == 'folder' else files/form, pictures, tmp_path/'out')
    table, threshold = table_rows(tmp_path/'out'), open_scorer(files/'run.onnx').threshold
    assert found['facts']['threshold'] == pytest.approx(threshold, abs=1e-6)
    for path, score in zip(ds.paths, image_scores(result)):
        assert float(table[path]['score']) == pytest.approx(score, abs=1e-4)
        verdict = 'anomalous' if score > threshold else 'nominal'
        assert table[path]['verdict'] == verdict or abs(score - threshold) < 1e-3
        with Image.open(overlay_path(tmp_path/'out', path)) as im: assert im.width > 2*64
    assert len(table) == len(ds.test) == found['images']
    assert found['anomalous'] == sum(r['verdict'] == 'anomalous' for r in table.values())


def test_corrupt_pictures_are_listed_and_the_rest_goes_on(smoke, files, pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path/'pictures'))
    first = sorted(folder.rglob('*.png'))[0]
    first.write_bytes(first.read_bytes()[:100])
    (folder/'text.jpg').write_text('not a picture')
    (folder/'empty.bmp').touch()
    (folder/'notes.txt').write_text('no picture at all')
    bad = {first.relative_to(folder).as_posix(), 'text.jpg', 'empty.bmp', 'notes.txt'}
    found = predict(files/'run.onnx', folder, tmp_path/'out')
    said = describe_prediction(found, tmp_path/'out')
    assert '4 skipped' in said and all(b in said for b in bad)
    with open(tmp_path/'out'/'skipped.csv', newline='') as f: assert {r['path'] for r in csv.DictReader(f)} == bad
    assert set(table_rows(tmp_path/'out')) == set(smoke[1].paths) - bad


def test_nothing_but_corrupt_pictures_gives_an_empty_table(files, tmp_path):
    (tmp_path/'pictures').mkdir()
    for i in range(25): (tmp_path/'pictures'/f'{i}.png').touch()
    said = describe_prediction(predict(files/'run.onnx', tmp_path/'pictures', tmp_path/'out'), tmp_path/'out')
    assert '0 images scored' in said and table_rows(tmp_path/'out') == {}
    assert '25 skipped' in said and said.count('\n- ') == 21 and said.endswith('- …')


def test_one_picture_of_another_shape_and_kind(files, tmp_path):
    Image.new('LA', (90, 40), (80, 255)).save(tmp_path/'gray.png')
    assert predict(files/'run.onnx', tmp_path/'gray.png', tmp_path/'out')['images'] == 1
    assert list(table_rows(tmp_path/'out')) == ['gray.png']


def test_a_finished_prediction_is_kept_and_overwrite_replaces_it(files, pictures, tmp_path):
    out, (one, other) = tmp_path/'out', sorted(pictures.rglob('*.png'))[:2]
    predict(files/'run.onnx', one, out)
    (out/'notes.txt').write_text('mine')
    before = (out/'scores.csv').read_bytes()
    with pytest.raises(UserError, match='holds a finished prediction'): predict(files/'run.onnx', other, out)
    assert (out/'scores.csv').read_bytes() == before
    predict(files/'run.onnx', other, out, overwrite=True)
    assert list(table_rows(out)) == [other.name] and (out/'notes.txt').exists()
    assert [p.name for p in (out/'overlays').iterdir()] == [other.name]


@pytest.mark.parametrize('heatmaps', ['all', 'anomalous', 'none'])
def test_only_the_chosen_pictures_get_a_heatmap(files, pictures, heatmaps, tmp_path):
    found = predict(files/'run.onnx', pictures, tmp_path, heatmaps=heatmaps)
    table = table_rows(tmp_path)
    anomalous = [n for n, r in table.items() if r['verdict'] == 'anomalous']
    chosen = dict(all=list(table), anomalous=anomalous, none=[])
    assert set((tmp_path/'overlays').rglob('*.png')) == {overlay_path(tmp_path, n) for n in chosen[heatmaps]}
    assert found['heatmaps'] == len(chosen[heatmaps]) and 0 < found['anomalous'] < found['images']
    assert ('heatmaps in' in describe_prediction(found, tmp_path)) == (heatmaps != 'none')


def test_a_mistyped_choice_of_heatmaps_is_named(files, pictures, tmp_path):
    with pytest.raises(UserError, match="did you mean 'none'"):
        predict(files/'run.onnx', pictures, tmp_path, heatmaps='nome')


def test_a_threshold_of_the_users_own_promises_nothing(files, pictures, tmp_path):
    found = predict(files/'run.onnx', sorted(pictures.rglob('*.png'))[0], tmp_path)
    found['facts'] |= dict(fpr=None, fpr_95=None)
    assert describe_prediction(found, tmp_path).endswith(', as given.')


@pytest.mark.parametrize('batch_size', [1, 3, 100])
def test_the_size_of_batches_changes_nothing(smoke, files, pictures, batch_size, tmp_path):
    predict(files/'run.onnx', pictures, tmp_path, batch_size=batch_size)
    table = table_rows(tmp_path)
    assert list(table) == sorted(smoke[1].paths)
    scores = dict(zip(smoke[1].paths, image_scores(smoke[2])))
    assert {n: float(r['score']) for n, r in table.items()} == pytest.approx(scores, abs=1e-4)


def test_a_table_of_somebody_else_is_left_alone(files, pictures, tmp_path):
    "One that names pictures outside of the heatmaps' folder, one with another head, one that is no text."
    some = sorted(pictures.rglob('*.png'))[0]
    for content in (f'path,score,verdict\n{some},1,nominal\n'.encode(), b'name,score\na,1\n', b'\xff\xfe\x00'):
        (tmp_path/'scores.csv').write_bytes(content)
        with pytest.raises(UserError, match='not of an earlier prediction'):
            predict(files/'run.onnx', some, tmp_path, overwrite=True)
        assert some.exists() and (tmp_path/'scores.csv').read_bytes() == content


def test_what_was_written_is_not_scored_again(files, pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path/'pictures'))
    n = predict(files/'run.onnx', folder, folder/'out')['images']
    assert predict(files/'run.onnx', folder, folder/'out', overwrite=True)['images'] == n


@pytest.mark.parametrize('change, says', [
    (dict(run='nowhere'), 'nowhere does not exist'), (dict(run='none.onnx'), 'none.onnx does not exist'),
    (dict(run='empty'), 'holds no record.json'), (dict(run='text.onnx'), 'is not a deployed run'),
    (dict(run='text.pt2'), 'is not a deployed run'), (dict(images='nowhere'), 'nowhere do not exist'),
    (dict(images='empty'), 'holds no images'), (dict(images='empty', out='.'), 'give another folder for the results'),
    (dict(out='text.onnx'), 'cannot be written')])
def test_predict_refuses_in_one_sentence(files, pictures, change, says, tmp_path):
    (tmp_path/'empty').mkdir()
    for name in ('text.onnx', 'text.pt2'): (tmp_path/name).write_text('no graph')
    given = dict(run=files/'run.onnx', images=pictures, out=tmp_path/'out') | {k: tmp_path/v for k, v in change.items()}
    with pytest.raises(UserError, match=says) as e: predict(**given)
    assert '\n' not in str(e.value) and not (tmp_path/'out'/'scores.csv').exists()


def test_two_pictures_never_share_a_heatmap(files, tmp_path):
    for name in ('a.jpg', 'a.jpg.png'): Image.new('RGB', (64,64)).save(tmp_path/name)
    with pytest.raises(UserError, match='rename one'): predict(files/'run.onnx', tmp_path, tmp_path/'out')


PEAK_CODE = """
import sys
from mudenet.deploy.predict import predict
predict(*sys.argv[1:])
for line in open('/proc/self/status'):
    if line.startswith('VmHWM'): print(line.split()[1])
"""


@pytest.mark.skipif(sys.platform != 'linux', reason="reads the peak from Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_pictures(files, tmp_path):
    "80 more pictures of 1 MB, decoded, and 80 more overlays of 2 MB."
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9,9,3), np.uint8))
    picture, peaks = coarse.resize((600,600), Image.Resampling.BICUBIC), []
    for n in (16, 96):
        folder = tmp_path/f'{n}'
        folder.mkdir()
        for i in range(n): picture.save(folder/f'{i}.bmp')
        args = [sys.executable, '-c', PEAK_CODE, files/'run.onnx', folder, tmp_path/f'out{n}']
        done = subprocess.run([*map(str, args)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout)/1024)
    assert peaks[1] - peaks[0] < 40, peaks


def test_the_notebook_predicts_and_refuses(files, pictures, tmp_path):
    given = ['-p', 'run', str(files/'run.onnx'), '-p', 'images', str(pictures)]
    done = papermill(str(tmp_path/'out.ipynb'), *given, '-p', 'out', str(tmp_path/'out'), notebook='predict')
    assert done.returncode == 0, done.stderr
    assert len(table_rows(tmp_path/'out')) == len(list(pictures.rglob('*.png')))
    assert 'image/png' in (tmp_path/'out.ipynb').read_text()
    for more, says in ((['-p', 'image', 'x'], "did you mean 'images'?"), ([], "Parameter 'out' is empty")):
        refused = papermill(os.devnull, *given, *more, notebook='predict')
        assert refused.returncode == 1 and says in last_error(refused)
