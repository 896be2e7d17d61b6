"A prediction accounts for every file, and is one process's at a time."
import csv, os, shutil, subprocess, sys, threading
import numpy as np, pytest
from deployed import table_rows
from hand_made import red_file
from mudenet.core.errors import UserError
from mudenet.deploy import predict as prediction
from mudenet.deploy.predict import describe_prediction, predict
from PIL import Image


@pytest.fixture
def red(tmp_path): return red_file(tmp_path/'red.onnx')


@pytest.fixture
def pictures(tmp_path):
    "Three pictures in two folders."
    for name in ('a.png', 'deep/b.webp', 'deep/c.JPG'):
        (tmp_path/'pictures'/name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (20,20), (200,0,0)).save(tmp_path/'pictures'/name)
    return tmp_path/'pictures'


def skipped_rows(out):
    with open(out/'skipped.csv', newline='') as f: return {r['path']: r['reason'] for r in csv.DictReader(f)}


def command(*words, cwd=None):
    command = [sys.executable, '-m', 'mudenet', 'predict', *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_every_file_is_scored_or_skipped_with_the_reason(red, pictures, tmp_path):
    (pictures/'.DS_Store').touch()
    (pictures/'@eaDir').mkdir()
    (pictures/'@eaDir'/'a.png').touch()
    (pictures/'notes.txt').touch()
    (pictures/'photo.heic').touch()
    (pictures/'torn.png').write_bytes(b'xx')
    (pictures/'broken.png').symlink_to('/nowhere')
    (pictures/'link').symlink_to(tmp_path)
    (pictures/os.fsdecode(b'gut_\xfc.png')).touch()
    found = predict(red, pictures, pictures/'out')
    assert set(table_rows(pictures/'out')) == {'a.png', 'deep/b.webp', 'deep/c.JPG'}
    skipped = skipped_rows(pictures/'out')
    assert found['images'] + len(skipped) == sum(len(files) for here, _,
                                                 files in os.walk(pictures) if 'out' not in here) + 1
    says = {'.DS_Store': "a system's file", '@eaDir/a.png': "a system's file", 'notes.txt': 'no picture',
            'photo.heic': 'convert it', 'torn.png': 'cannot be read as an image', 'broken.png': 'leads nowhere',
            'link': 'a link to a folder', r'gut_\udcfc.png': 'not UTF-8'}
    assert all(reason in skipped[name] for name, reason in says.items())
    said = describe_prediction(found, pictures/'out')
    assert said.encode() and '8 skipped' in said and 'photo.heic: left out: HEIC is not read here' in said
    assert predict(red, pictures, pictures/'out', overwrite=True)['skipped'] == found['skipped']


def test_nothing_scored_ends_with_1_and_no_picture_with_2(red, tmp_path):
    (tmp_path/'bad').mkdir()
    (tmp_path/'bad'/'a.png').write_bytes(b'xx')
    done = command(red, tmp_path/'bad', tmp_path/'out')
    assert done.returncode == 1 and '0 images scored' in done.stdout and 'a.png' in done.stdout
    (tmp_path/'bad'/'a.png').rename(tmp_path/'bad'/'a.heic')
    done = command(red, tmp_path/'bad', tmp_path/'out2')
    assert done.returncode == 2 and 'holds no images' in done.stderr and 'HEIC is not read here' in done.stderr


@pytest.mark.parametrize('given', [-1, 0, 'many', 1.5])
def test_a_size_of_batches_that_is_none_is_refused(given, red, pictures, tmp_path):
    with pytest.raises(UserError, match='batch_size'): predict(red, pictures, tmp_path/'out', batch_size=given)
    assert not (tmp_path/'out').exists()


def test_a_second_process_waits_and_then_refuses_or_replaces(red, pictures, tmp_path, monkeypatch, capsys):
    begun, go, write = threading.Event(), threading.Event(), prediction._write_scores
    def slow(*args):
        begun.set()
        assert go.wait(60)
        return write(*args)
    monkeypatch.setattr(prediction, '_write_scores', slow)
    first = threading.Thread(target=predict, args=(red, pictures, tmp_path/'out'))
    first.start()
    assert begun.wait(60)
    second = subprocess.Popen([sys.executable, '-m', 'mudenet', 'predict',
                               *map(str, (red, pictures/'a.png', tmp_path/'out'))],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert 'Another process is at work' in second.stdout.readline() and second.poll() is None
    go.set()
    first.join()
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2 and 'holds a finished prediction' in err and err.count('\n') == 1
    assert len(table_rows(tmp_path/'out')) == 3


@pytest.mark.parametrize('overwrite', [False, True])
def test_links_in_a_circle_are_one_sentence_wherever_they_stand(overwrite, red, pictures, tmp_path):
    (tmp_path/'one').symlink_to('two')
    (tmp_path/'two').symlink_to('one')
    with pytest.raises(UserError, match='one cannot be written'): predict(red, pictures, tmp_path/'one', overwrite)
    with pytest.raises(UserError, match='one do not exist'): predict(red, tmp_path/'one', tmp_path/'out', overwrite)
    with pytest.raises(UserError, match='run .*one does not exist'):
        predict(tmp_path/'one', pictures, tmp_path/'out', overwrite)
    (tmp_path/'out'/'scores.csv').symlink_to(tmp_path/'one')
    with pytest.raises(UserError, match='scores.csv|holds a finished prediction'):
        predict(red, pictures, tmp_path/'out', overwrite)


def test_an_archive_in_place_of_pictures_says_what_to_do(red, tmp_path):
    (tmp_path/'set.zip').write_bytes(b'PK')
    with pytest.raises(UserError, match='set.zip is an archive; unpack it'): predict(red, tmp_path/'set.zip',
                                                                                     tmp_path/'out')


def test_paths_may_be_short(red, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(pictures)
    assert predict('~/red.onnx', '~/pictures', '~/out')['images'] == 3
    assert predict('../red.onnx', 'deep', 'out')['images'] == 2 and (pictures/'out'/'scores.csv').exists()
    assert not (pictures/'~').exists()


@pytest.mark.parametrize('place, advice', [('red.onnx', 'a file is in the way'), ('red.onnx/x', 'a file is in the way'),
                                           ('n'*300, 'shorten it')])
def test_the_advice_fits_what_is_wrong_with_the_folder_of_results(place, advice, red, pictures, tmp_path):
    with pytest.raises(UserError, match=f'cannot be written .*{advice}'):
        predict(red, pictures, tmp_path/place)


def test_what_may_be_meant_otherwise_is_said(red, tmp_path):
    Image.fromarray(np.full((8,8), 4095, np.uint16)).save(tmp_path/'x.png')
    found = predict(red, tmp_path/'x.png', tmp_path/'out')
    assert 'values up to 4095 only' in found['warnings'][0] and 'warning: ' in describe_prediction(found,
                                                                                                   tmp_path/'out')


def test_results_may_lie_among_the_pictures_but_not_over_them(red, pictures, tmp_path):
    "A folder of results is not searched, so it must hold none of the pictures; other predictions are told apart."
    with pytest.raises(UserError, match=r'deep, which holds pictures of .*, such as b\.webp; give another folder'):
        predict(red, pictures, pictures/'deep')
    assert predict(red, pictures, pictures/'first')['images'] == 3
    assert predict(red, pictures, pictures/'first', overwrite=True)['images'] == 3
    assert predict(red, pictures, pictures/'second')['images'] == 3
    assert skipped_rows(pictures/'second')['first/overlays/a.png'] == 'left out: a heatmap of an earlier prediction'


def test_pictures_beside_a_table_that_is_not_ours_are_scored(red, pictures, tmp_path):
    (pictures/'own'/'overlays').mkdir(parents=True)
    shutil.copy(pictures/'a.png', pictures/'own'/'overlays'/'a.png')
    (pictures/'own'/'scores.csv').write_text('team,points\n')
    assert predict(red, pictures, tmp_path/'out')['images'] == 4


def test_the_list_of_skipped_files_is_of_this_prediction(red, pictures, tmp_path):
    (pictures/'notes.txt').touch()
    predict(red, pictures, tmp_path/'out')
    assert [*skipped_rows(tmp_path/'out')] == ['notes.txt']
    (tmp_path/'out'/'scores.csv').unlink()
    predict(red, pictures/'deep', tmp_path/'out')
    assert not (tmp_path/'out'/'skipped.csv').exists()
