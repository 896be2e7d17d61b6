"Small copies of every layout, corrupted one fault at a time; a run and the check name each fault in one sentence."
from pathlib import Path
import numpy as np, pytest
from PIL import Image
from layouts import RNG, SHAPE, make_folder, make_mvtec_ad, make_mvtec_loco, make_visa, mask, picture
from mudenet.core.errors import UserError
from mudenet.data.dataset import load_dataset
from mudenet.data.sources import checked_source
from mudenet.data.validate import check_dataset, mask_fault

MAKE = dict(mvtec_ad=make_mvtec_ad, mvtec_loco=make_mvtec_loco, visa=make_visa, folder=make_folder)


@pytest.fixture
def layout(tmp_path):
    "A function that makes a small copy of a layout, and gives its root."
    def make(name):
        MAKE[name](tmp_path/name)
        return tmp_path/name
    return make


def empty(folder):
    for p in folder.iterdir(): p.unlink()


def truncate(path): path.write_bytes(path.read_bytes()[:200])
def copy(a, b): b.write_bytes(a.read_bytes())
def edit(path, old, new): path.write_text(path.read_text().replace(old, new))


def leave_one(folder):
    for p in sorted(folder.iterdir())[1:]: p.unlink()


def no_defects(root):
    for d in ('test/cut', 'ground_truth/cut'): empty(root/d)


def two_values(path): Image.fromarray(RNG.choice(np.array([254, 255], np.uint8), SHAPE)).save(path)


FOLDERS = dict(mvtec_ad='nut', mvtec_loco='juice_bottle', visa='.', folder='nuts')
CUT, LOGICAL, CONFIG = 'ground_truth/cut', 'ground_truth/logical_anomalies', 'defects_config.json'
VISA, CSV = 'pcb1/Data', 'split_csv/1cls.csv'
FAULTS = {     # layout, what is done to its folder, what is said
    'no nominal images': ('mvtec_ad', lambda r: empty(r/'train/good'), 'train/good holds no images'),
    'one nominal image': ('mvtec_ad', lambda r: leave_one(r/'train/good'), 'holds 1 of the nominal images'),
    'no nominal test images': ('mvtec_ad', lambda r: empty(r/'test/good'), 'test/good holds no images'),
    'no defective images': ('mvtec_ad', no_defects, 'holds no defective images'),
    'image without a mask': ('mvtec_ad', lambda r: (r/CUT/'000_mask.png').unlink(), '000.png has no mask'),
    'mask without an image': (
        'mvtec_ad', lambda r: (r/'test/cut/001.png').unlink(),
        '001_mask.png is a mask without an image'),
    'masks of an absent type': ('mvtec_ad', lambda r: (r/'ground_truth/ghost').mkdir(), 'ghost holds masks'),
    'mask of another size': (
        'mvtec_ad', lambda r: mask(r/CUT/'000_mask.png', shape=(9,9)),
        '000_mask.png is 9x9 pixels'),
    'mask of another name': (
        'mvtec_ad', lambda r: (r/CUT/'000_mask.png').rename(r/CUT/'000.png'),
        '000.png has no mask'),
    'empty mask': ('mvtec_ad', lambda r: mask(r/CUT/'000_mask.png', 0), '000_mask.png marks no pixel'),
    'truncated mask': (
        'mvtec_ad', lambda r: (r/CUT/'000_mask.png').write_bytes(b'PNG'),
        '000_mask.png cannot be read as a mask'),
    'truncated image': ('mvtec_ad', lambda r: truncate(r/'train/good/003.png'), '003.png cannot be read'),
    'text in place of an image': (
        'mvtec_ad', lambda r: (r/'test/good/000.png').write_text('hello'),
        '000.png cannot be read'),
    'loco: no validation': ('mvtec_loco', lambda r: empty(r/'validation/good'), 'validation/good holds no images'),
    'loco: no config': ('mvtec_loco', lambda r: (r/CONFIG).unlink(), 'defects_config.json cannot be read'),
    'loco: config is not JSON': (
        'mvtec_loco', lambda r: (r/CONFIG).write_text('{'),
        'defects_config.json cannot be read'),
    'loco: config is no list': (
        'mvtec_loco', lambda r: (r/CONFIG).write_text('5'),
        'has the entry 5; it takes defect_name'),
    'loco: entry without a key': (
        'mvtec_loco', lambda r: edit(r/CONFIG, 'relative_saturation', 'relative'),
        'it takes defect_name'),
    'loco: unknown value': (
        'mvtec_loco', lambda r: mask(r/LOGICAL/'000/000.png', 7),
        'has the value 7, which defects_config.json does not name'),
    'loco: two values': ('mvtec_loco', lambda r: two_values(r/LOGICAL/'000/000.png'), 'the mask of one defect has one'),
    'loco: image without masks': ('mvtec_loco', lambda r: empty(r/LOGICAL/'001'), '001.png has no mask'),
    'loco: no folder of masks': (
        'mvtec_loco', lambda r: (r/LOGICAL/'001').rename(r/LOGICAL/'.gone'),
        '001.png has no mask'),
    'loco: masks without image': (
        'mvtec_loco', lambda r: (r/'test/logical_anomalies/001.png').unlink(),
        '001/000.png is a mask without an image'),
    'loco: mask of another size': (
        'mvtec_loco', lambda r: mask(r/LOGICAL/'001/000.png', shape=(9,9)),
        '000.png is 9x9 pixels'),
    'visa: no table': ('visa', lambda r: (r/CSV).unlink(), '1cls.csv cannot be read'),
    'visa: another table': ('visa', lambda r: edit(r/CSV, 'object,', 'thing,'), 'does not have the columns'),
    'visa: image missing': ('visa', lambda r: (r/VISA/'Images/Normal/001.JPG').unlink(), '001.JPG is missing'),
    'visa: mask missing': ('visa', lambda r: (r/VISA/'Masks/Anomaly/001.png').unlink(), '001.JPG has no mask'),
    'visa: image not named': ('visa', lambda r: picture(r/VISA/'Images/Normal/999.JPG'), '999.JPG is not named'),
    'visa: defect for training': (
        'visa', lambda r: edit(r/CSV, 'test,anomaly', 'train,anomaly'),
        "its label is 'anomaly'"),
    'folder: no good pictures': ('folder', lambda r: empty(r/'good'), 'good holds no images'),
    'folder: broken picture': ('folder', lambda r: truncate(r/'bent/000.bmp'), '000.bmp cannot be read'),
    'loco: several sizes': (
        'mvtec_loco', lambda r: Image.new('RGB', (9,9)).save(r/'test/good/000.png'),
        'sPRO needs one'),
}
SEEN_TWICE = {      # a run goes on
    'seen in training': (
        'mvtec_ad', lambda r: copy(r/'train/good/001.png', r/'test/good/000.png'),
        'is the same picture as'),
    'loco: seen in validation': (
        'mvtec_loco', lambda r: copy(r/'validation/good/001.png', r/'test/good/000.png'),
        'is the same picture as'),
}


@pytest.mark.parametrize('name', MAKE)
def test_a_whole_folder_is_loaded_and_has_no_fault(name, layout):
    root = layout(name)
    source = checked_source(root)
    ds = load_dataset(source, 64)
    assert source.benchmark == name and ds.test.shape[1:] == (3, 64, 64) and set(ds.types) - {'good'}
    assert (ds.masks is None) == (name == 'folder') and (ds.defects is not None) == (name == 'mvtec_loco')
    if ds.masks is not None: assert (ds.masks.sum((1,2)) > 0).tolist() == ds.labels.tolist()
    row, = check_dataset(root)
    assert row['benchmark'] == name and row['faults'] == []
    assert row['train'] + row['validation'] == len(ds.train) and row['good'] + row['defective'] == len(ds.test)
    assert row['sizes'] == {f'{SHAPE[1]}x{SHAPE[0]}': len(ds.train) + len(ds.test)}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_named_by_a_run_and_by_the_check(fault, layout):
    name, damage, says = FAULTS[fault]
    root = layout(name)
    damage(root/FOLDERS[name])
    with pytest.raises(UserError, match=says): load_dataset(checked_source(root, dataset=name), 64)
    assert any(says in f for row in check_dataset(root, name) for f in row['faults'])


@pytest.mark.parametrize('fault', SEEN_TWICE)
def test_a_test_image_seen_in_training_is_a_fault_of_the_check_and_a_warning_of_a_run(fault, layout, capsys):
    name, damage, says = SEEN_TWICE[fault]
    root = layout(name)
    load_dataset(checked_source(root), 64)
    assert says not in capsys.readouterr().out
    damage(root/FOLDERS[name])
    load_dataset(checked_source(root), 64)
    line, = [line for line in capsys.readouterr().out.splitlines() if says in line]
    assert line.startswith('warning: ')
    assert any(says in f for row in check_dataset(root) for f in row['faults'])


def test_all_faults_are_told_together(layout):
    root = layout('mvtec_ad')
    mask(root/'nut/ground_truth/cut/001_mask.png', shape=(9,9))
    copy(root/'nut/train/good/002.png', root/'nut/test/good/001.png')
    (root/'nut/train/good/000.png').write_text('hello')
    faults = check_dataset(root)[0]['faults']
    said = ('000.png cannot be read', 'they must agree', 'is the same picture as')
    assert len(faults) == 3 and all(words in fault for words, fault in zip(said, faults))


ONE = np.pad(np.full((1,1), 255, np.uint8), ((1,2), (2,3)))       # (4,6), one pixel


@pytest.mark.parametrize('pixels, shape, defects, says', [
    (ONE, (4,6), None, None), (ONE, (4,6), {255: {}}, None), (ONE, (8,8), None, '6x4 pixels'),
    (ONE*0, (4,6), None, 'marks no pixel'), (ONE, (4,6), {254: {}}, 'does not name; there are: 254'),
    (np.maximum(ONE, np.eye(4, 6, dtype=np.uint8)), (4,6), {1: {}, 255: {}}, 'has the values [1, 255]')])
def test_a_mask_against_its_picture(pixels, shape, defects, says):
    fault = mask_fault(pixels, Path('m.png'), Path('i.png'), shape, defects)
    assert fault is None if says is None else says in fault
