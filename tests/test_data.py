"Small copies of every layout, corrupted one fault at a time; each fault is named in one sentence, by a run and by the check."
import json, subprocess, sys, tarfile
import numpy as np, pytest
from PIL import Image
from layouts import RNG, SHAPE, make_folder, make_mvtec_ad, make_mvtec_loco, make_visa, mask, picture
from mudenet.benchmarks import BENCHMARKS, checked_source
from mudenet.config import UserError
from mudenet.data import load_dataset, main
from mudenet.images import read_image
from mudenet.study import plan_run

MAKE = dict(mvtec_ad=make_mvtec_ad, mvtec_loco=make_mvtec_loco, visa=make_visa, folder=make_folder)


@pytest.fixture
def layout(tmp_path):
    "A function that makes a small copy of a layout, and gives its root."
    def make(name): MAKE[name](tmp_path/name); return tmp_path/name
    return make


def remove_all(folder):
    for p in folder.iterdir(): p.unlink()


def truncate(path): path.write_bytes(path.read_bytes()[:200])
def copy(a, b): b.write_bytes(a.read_bytes())
def edit(path, old, new): path.write_text(path.read_text().replace(old, new))


AD, LOCO, VISA, CSV = 'nut/', 'juice_bottle/', 'pcb1/Data/', 'split_csv/1cls.csv'
FAULTS = {     # layout, what is done to it, what is said; the third: seen by the check alone, since a run does not compare images
    'no nominal images':         ('mvtec_ad', lambda r: remove_all(r/AD/'train/good'), 'train/good holds no images'),
    'one nominal image':         ('mvtec_ad', lambda r: [(r/AD/'train/good'/f'{i:03}.png').unlink() for i in range(3)], 'holds 1 of the nominal images'),
    'no nominal test images':    ('mvtec_ad', lambda r: remove_all(r/AD/'test/good'), 'test/good holds no images'),
    'no defective images':       ('mvtec_ad', lambda r: [remove_all(r/AD/d) for d in ('test/cut', 'ground_truth/cut')], 'holds no defective images'),
    'image without a mask':      ('mvtec_ad', lambda r: (r/AD/'ground_truth/cut/000_mask.png').unlink(), '000.png has no mask'),
    'mask without an image':     ('mvtec_ad', lambda r: (r/AD/'test/cut/001.png').unlink(), '001_mask.png is a mask without an image'),
    'masks of an absent type':   ('mvtec_ad', lambda r: (r/AD/'ground_truth/ghost').mkdir(), 'ghost holds masks'),
    'mask of another size':      ('mvtec_ad', lambda r: mask(r/AD/'ground_truth/cut/000_mask.png', shape=(9,9)), '000_mask.png is 9x9 pixels'),
    'empty mask':                ('mvtec_ad', lambda r: mask(r/AD/'ground_truth/cut/000_mask.png', 0), '000_mask.png marks no pixel'),
    'truncated mask':            ('mvtec_ad', lambda r: (r/AD/'ground_truth/cut/000_mask.png').write_bytes(b'PNG'), '000_mask.png cannot be read as a mask'),
    'truncated image':           ('mvtec_ad', lambda r: truncate(r/AD/'train/good/003.png'), '003.png cannot be read'),
    'text in place of an image': ('mvtec_ad', lambda r: (r/AD/'test/good/000.png').write_text('hello'), '000.png cannot be read'),
    'loco: no validation':       ('mvtec_loco', lambda r: remove_all(r/LOCO/'validation/good'), 'validation/good holds no images'),
    'loco: no config':           ('mvtec_loco', lambda r: (r/LOCO/'defects_config.json').unlink(), 'defects_config.json cannot be read'),
    'loco: config is not JSON':  ('mvtec_loco', lambda r: (r/LOCO/'defects_config.json').write_text('{'), 'defects_config.json cannot be read'),
    'loco: entry without a key': ('mvtec_loco', lambda r: edit(r/LOCO/'defects_config.json', 'relative_saturation', 'relative'), 'it takes defect_name'),
    'loco: unknown value':       ('mvtec_loco', lambda r: mask(r/LOCO/'ground_truth/logical_anomalies/000/000.png', 7), 'has the value 7, which defects_config.json does not name'),
    'loco: two values':          ('mvtec_loco', lambda r: Image.fromarray(RNG.choice(np.array([254, 255], np.uint8), SHAPE)).save(r/LOCO/'ground_truth/logical_anomalies/000/000.png'), 'the mask of one defect has one'),
    'loco: image without masks': ('mvtec_loco', lambda r: remove_all(r/LOCO/'ground_truth/logical_anomalies/001'), '001.png has no mask'),
    'loco: masks without image': ('mvtec_loco', lambda r: (r/LOCO/'test/logical_anomalies/001.png').unlink(), '001 holds masks without an image'),
    'loco: mask of another size': ('mvtec_loco', lambda r: mask(r/LOCO/'ground_truth/logical_anomalies/001/000.png', shape=(9,9)), '000.png is 9x9 pixels'),
    'visa: no table':            ('visa', lambda r: (r/CSV).unlink(), '1cls.csv cannot be read'),
    'visa: another table':       ('visa', lambda r: edit(r/CSV, 'object,', 'thing,'), 'does not have the columns'),
    'visa: image missing':       ('visa', lambda r: (r/VISA/'Images/Normal/001.JPG').unlink(), '001.JPG is missing'),
    'visa: mask missing':        ('visa', lambda r: (r/VISA/'Masks/Anomaly/001.png').unlink(), '001.JPG has no mask'),
    'visa: image not named':     ('visa', lambda r: picture(r/VISA/'Images/Normal/999.JPG'), '999.JPG is not named'),
    'visa: defect for training': ('visa', lambda r: edit(r/CSV, 'test,anomaly', 'train,anomaly'), "its label is 'anomaly'"),
    'folder: no good pictures':  ('folder', lambda r: remove_all(r/'nuts/good'), 'good holds no images'),
    'folder: broken picture':    ('folder', lambda r: truncate(r/'nuts/bent/000.bmp'), '000.bmp cannot be read'),
}
SEEN_BY_THE_CHECK = {
    'seen in training':          ('mvtec_ad', lambda r: copy(r/AD/'train/good/001.png', r/AD/'test/good/000.png'), 'is the same picture as'),
    'loco: seen in validation':  ('mvtec_loco', lambda r: copy(r/LOCO/'validation/good/001.png', r/LOCO/'test/good/000.png'), 'is the same picture as'),
    'loco: several sizes':       ('mvtec_loco', lambda r: Image.new('RGB', (9,9)).save(r/LOCO/'test/good/000.png'), 'sPRO needs one'),
}


@pytest.mark.parametrize('name', MAKE)
def test_a_whole_folder_is_loaded_and_has_no_fault(name, layout, capsys):
    root = layout(name)
    source = checked_source(root)
    ds = load_dataset(source, 64)
    assert source.benchmark == name and ds.test.shape[1:] == (3, 64, 64) and set(ds.types) - {'good'}
    assert (ds.masks is None) == (name == 'folder') and (ds.defects is not None) == (name == 'mvtec_loco')
    if ds.masks is not None: assert (ds.masks.sum((1,2)) > 0).tolist() == ds.labels.tolist()
    assert main(['check', str(root)]) == 0 and 'Nothing is wrong' in capsys.readouterr().out
    assert main(['check', str(root), '--json']) == 0 and json.loads(capsys.readouterr().out)[0]['benchmark'] == name


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_named_by_a_run_and_by_the_check(fault, layout, capsys):
    name, damage, says = FAULTS[fault]
    root = layout(name)
    damage(root)
    with pytest.raises(UserError, match=says): load_dataset(checked_source(root, dataset=name), 64)
    assert main(['check', str(root), '--dataset', name]) == 1 and says in capsys.readouterr().out


@pytest.mark.parametrize('fault', SEEN_BY_THE_CHECK)
def test_a_fault_that_the_check_alone_sees(fault, layout, capsys):
    name, damage, says = SEEN_BY_THE_CHECK[fault]
    root = layout(name)
    damage(root)
    assert main(['check', str(root)]) == 1 and says in capsys.readouterr().out


def test_the_layout_is_checked_before_anything_else(layout, tmp_path):
    root = layout('mvtec_ad')
    with pytest.raises(UserError, match='there are: nut'): plan_run(budget='smoke', data_root=root, category='bottle', runs_dir=tmp_path)
    remove_all(root/AD/'train/good')
    with pytest.raises(UserError, match='holds no images'): plan_run(budget='smoke', data_root=root, runs_dir=tmp_path)


def test_the_categories_of_the_benchmarks_have_names_of_their_own():
    names = [c for b in BENCHMARKS.values() for c in b.augmentation]
    assert len(names) == len(set(names)) == 32


def test_an_archive_from_a_terminal(layout, tmp_path):
    root = layout('mvtec_ad')
    with tarfile.open(tmp_path/'nut.tar.xz', 'w:xz') as t: t.add(root/'nut', 'nut')
    command = [sys.executable, '-m', 'mudenet.data', 'unpack', tmp_path/'nut.tar.xz', tmp_path/'out']
    first, again = (subprocess.run([*map(str, command)], capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 0 and '10 files' in first.stdout and main(['check', str(tmp_path/'out')]) == 0
    assert again.returncode == 2 and 'exists already' in again.stderr and again.stderr.count('\n') == 1


@pytest.mark.parametrize('extension', ['png', 'jpg', 'bmp', 'tif'])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'P'])
def test_formats_and_modes(extension, mode, tmp_path):
    if (extension, mode) == ('jpg', 'P'): pytest.skip('JPEG has no palette')
    picture = Image.fromarray(np.full((16,16,3), (200,100,50), np.uint8)).convert(mode)
    picture.save(tmp_path/f'x.{extension}')
    pixel = read_image(tmp_path/f'x.{extension}')[8,8].astype(int)
    assert abs(pixel - np.asarray(picture.convert('RGB'))[8,8]).max() <= 3
