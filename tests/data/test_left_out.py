"Every file below a folder is used or listed; folders beside `good` are what they are; a part of a layout is none."
import json, os, subprocess, sys, zipfile
from pathlib import Path
import numpy as np, pytest
from layouts import make_folder, make_good_only, make_mvtec_ad, make_mvtec_loco, make_visa, mask, picture
from mudenet.core.errors import UserError
from mudenet.data.dataset import load_dataset
from mudenet.data.sources import checked_source, recognize
from mudenet.data.validate import check_dataset
from PIL import Image


def reasons(row): return {Path(f['path']).name: f['reason'] for f in row['left_out']}
def count(row): return row['train'] + row['validation'] + row['good'] + row['defective'] + (row['masks']
                                                                                            or 0) + len(row['tables'])


@pytest.fixture
def nuts(tmp_path):
    make_folder(tmp_path/'data')
    return tmp_path/'data'/'nuts'


# Counts add up

def test_what_is_dropped_is_listed_with_the_reason(nuts, tmp_path, capsys):
    for i in range(3): picture(nuts/'good'/'line1'/f'{i}.png')
    picture(nuts/'good'/'more.webp')
    picture(tmp_path/'elsewhere'/'c.png')
    (nuts/'good'/'link').symlink_to(tmp_path/'elsewhere')
    (nuts/'good'/'broken.png').symlink_to('/nowhere.png')
    (nuts/'good'/'photo.heic').touch()
    (nuts/'good'/'.DS_Store').touch()
    (nuts/'notes.txt').touch()
    row, = check_dataset(nuts)
    assert row['faults'] == [] and row['train'] + row['good'] == 7 and row['defective'] == 2
    assert reasons(row) == {
        **dict.fromkeys(['0.png', '1.png', '2.png'], 'the layout has no place for it here'), 'notes.txt': 'no picture',
        'link': 'a link to a folder, not followed', 'broken.png': 'a link that leads nowhere',
                            '.DS_Store': "a system's file",
        'photo.heic': 'HEIC is not read here; convert it to PNG or JPEG'}
    assert count(row) + len(row['left_out']) == sum(len(files) for *_,
                                                    files in os.walk(nuts)) + 1     # the link to a folder
    load_dataset(checked_source(nuts), 32)
    assert f"left out: {nuts/'good'/'link'} (a link to a folder, not followed)" in capsys.readouterr().out


@pytest.mark.parametrize('make', [make_mvtec_ad, make_mvtec_loco, make_visa, make_folder, make_good_only])
def test_counts_add_up_to_the_files_that_are_there(make, tmp_path):
    make(tmp_path)
    (tmp_path/'readme.txt').touch()
    category = recognize(tmp_path)[0].category
    (tmp_path/category/'license.txt').touch()
    rows = check_dataset(tmp_path)
    there = sum(len(files) for *_, files in os.walk(tmp_path))
    assert sum(map(count, rows)) + sum(len(r['left_out']) for r in rows) == there
    assert [f['path'] for r in rows for f in r['left_out']] == [str(tmp_path/category/'license.txt'),
                                                                str(tmp_path/'readme.txt')]
    assert [r['category'] for r in rows] == [category, ''] and not any(r['faults'] + r['warnings'] for r in rows)


def test_a_cameras_mpo_is_a_picture_and_a_drawing_is_to_be_converted(nuts):
    frames = [Image.new('RGB', (40, 48), (i, 0, 0)) for i in (200, 100)]
    frames[0].save(nuts/'good'/'camera.mpo', save_all=True, append_images=frames[1:])
    for name in ('drawing.eps', 'page.pdf'): (nuts/'good'/name).write_text('%')
    row, = check_dataset(nuts)
    assert {Path(f['path']).name: f['reason'] for f in row['left_out']} == {
        'drawing.eps': 'EPS is not read here; convert it to PNG or JPEG',
        'page.pdf': 'PDF is not read here; convert it to PNG or JPEG'}
    assert nuts/'good'/'camera.mpo' in recognize(nuts)[0].files().used and row['faults'] == row['warnings'] == []


def test_json_has_the_counts_and_the_text_a_line_a_file(nuts):
    (nuts/'good'/'notes.txt').touch()
    def command(*more):
        return subprocess.run([sys.executable, '-m', 'mudenet', 'data', 'check', str(nuts), *more],
                              capture_output=True, text=True)
    text, as_json = command(), command('--json')
    row, = json.loads(as_json.stdout)
    assert {'train', 'good', 'defective', 'left_out', 'warnings'} <= set(row) and len(row['left_out']) == 1
    assert text.returncode == as_json.returncode == 0
    assert f"left out: {nuts/'good'/'notes.txt'} (no picture)" in text.stdout
    assert 'Nothing is wrong. 0 warnings, 1 files left out.' in text.stdout


def test_a_name_that_is_not_utf8_is_listed_and_the_rest_is_checked(tmp_path):
    for category in ('bolts', 'nuts'):
        for i in range(4): picture(tmp_path/category/'good'/f'{i}.png')
    (tmp_path/'bolts'/'good'/'0.png').rename(os.fsdecode(os.fsencode(tmp_path) + b'/bolts/good/gut_\xfc.png'))
    done = subprocess.run([sys.executable, '-m', 'mudenet', 'data', 'check', str(tmp_path)], capture_output=True,
                          text=True)
    assert done.returncode == 0 and 'Traceback' not in done.stderr
    assert r'gut_\udcfc.png (its name is not UTF-8' in done.stdout
    assert [r['train'] + r['good'] for r in check_dataset(tmp_path)] == [3, 4]
    load_dataset(checked_source(tmp_path, 'bolts'), 32)


@pytest.mark.root
def test_a_folder_without_permission_is_a_fault_of_its_category(tmp_path):
    if os.geteuid(): pytest.skip('needs root, to become somebody else')
    for category in ('bolts', 'nuts'):
        for i in range(4): picture(tmp_path/category/'good'/f'{i}.png')
    picture(tmp_path/'bolts'/'bent'/'0.png')
    for folder in (tmp_path, *tmp_path.parents):       # pytest's own folders are closed to others
        if folder.stat().st_mode & 0o005 != 0o005: folder.chmod(0o755)
    (tmp_path/'bolts'/'bent').chmod(0)
    os.seteuid(65534)
    try:
        bolts, nuts = check_dataset(tmp_path)
        assert len(bolts['faults']) == 1
        assert 'bent cannot be read (Permission denied); change the permission' in bolts['faults'][0]
        assert nuts['faults'] == [] and nuts['train'] + nuts['good'] == 4
        with pytest.raises(UserError, match='Permission denied'): checked_source(tmp_path, 'bolts')
    finally: os.seteuid(0)


# Masks beside `good`

@pytest.mark.parametrize('folder', ['masks', 'mask', 'ground_truth', 'Ground Truth', 'gt', 'labels', 'masks/bent',
                                    'annotations'])
@pytest.mark.parametrize('ending', ['', '_mask', '_MASK'])
def test_a_folder_of_masks_is_used_where_the_names_fit(folder, ending, nuts):
    for i in range(2): mask(nuts/folder/f'{i:03}{ending}.PNG')
    row, = check_dataset(nuts)
    assert row['faults'] == [] and (row['types'], row['masks'], row['left_out']) == ({'bent': 2}, 2, [])
    ds = load_dataset(checked_source(nuts), 48)
    assert ds.masks.sum((1,2)).bool().tolist() == ds.labels.tolist()


def test_masks_beside_their_pictures_are_no_pictures_to_test(nuts):
    for i in range(2): mask(nuts/'bent'/f'{i:03}_mask.png')
    faults = check_dataset(nuts)[0]['faults']
    assert len(faults) == 2 and '001_mask.png is called as the mask of a picture beside it; move it to' in faults[1]
    for i in range(2):
        (nuts/'masks'/'bent').mkdir(parents=True, exist_ok=True)
        (nuts/'bent'/f'{i:03}_mask.png').rename(nuts/'masks'/'bent'/f'{i:03}_mask.png')
    assert check_dataset(nuts)[0]['faults'] == [] and check_dataset(nuts)[0]['masks'] == 2


def test_masks_that_fit_nothing_are_refused(nuts):
    for i in range(2): mask(nuts/'masks'/f'other{i}.png')
    with pytest.raises(UserError, match='masks is called as folders of masks are, but no picture'): checked_source(nuts)


@pytest.mark.parametrize('names, says', [
    (['000'], '001.bmp has no mask, and others have one'), (['000', '001', 'x'], 'x.png is a mask without an image')])
def test_masks_that_fit_in_part_are_named(names, says, nuts):
    for name in names: mask(nuts/'masks'/f'{name}.png')
    assert says in check_dataset(nuts)[0]['faults'][0]


def test_a_mask_of_two_pictures_is_refused(nuts):
    for i in range(2):
        picture(nuts/'cut'/f'{i:03}.bmp')
        mask(nuts/'masks'/f'{i:03}.png')
    assert 'would be the mask of 2 pictures' in check_dataset(nuts)[0]['faults'][0]
    for path in [*(nuts/'masks').iterdir()]:
        for kind in ('bent', 'cut'): mask(nuts/'masks'/kind/path.name)
        path.unlink()
    assert check_dataset(nuts)[0]['faults'] == [] and check_dataset(nuts)[0]['masks'] == 4


def test_a_mask_of_a_good_picture_is_left_out(nuts):
    for i in range(6): mask(nuts/'masks'/f'{i:03}.png', 0 if i > 1 else 255)
    row, = check_dataset(nuts)
    assert row['faults'] == [] and row['masks'] == 2 and set(reasons(row).values()) == {'a mask of a good picture'}


def test_without_masks_nothing_is_another_than_before(nuts):
    files = checked_source(nuts).files()
    assert not files.masks and {t.type for t in files.test} == {'good', 'bent'} and not any(t.masks for t in files.test)


# A part of a layout

@pytest.mark.parametrize('part', ['train', 'test', 'train/good', 'test/cut', 'ground_truth'])
def test_a_part_of_a_category_is_no_data_set(part, tmp_path):
    make_mvtec_ad(tmp_path)
    for dataset in ('auto', 'folder'):
        with pytest.raises(UserError, match=f"is a part of the category {tmp_path/'nut'}; give that folder"):
            recognize(tmp_path/'nut'/part, dataset)


def test_the_folder_good_itself_and_a_part_of_visa_are_named_too(nuts, tmp_path):
    make_visa(tmp_path/'visa')
    for part, whole in ((nuts/'good', nuts), (tmp_path/'visa'/'pcb1'/'Data', tmp_path/'visa'/'pcb1')):
        with pytest.raises(UserError, match=f'is a part of the category {whole};'): recognize(part)


def test_a_set_of_that_name_is_one(tmp_path):
    for i in range(4): picture(tmp_path/'good'/'good'/f'{i}.png')
    assert [s.category for s in recognize(tmp_path/'good')] == ['good']


# What the user calls it

def test_a_linked_category_keeps_its_name_and_its_augmentation(tmp_path):
    make_mvtec_ad(tmp_path/'nas')
    (tmp_path/'mvtec_ad').mkdir()
    (tmp_path/'mvtec_ad'/'bottle').symlink_to(tmp_path/'nas'/'nut')
    for root in (tmp_path/'mvtec_ad'/'bottle', tmp_path/'mvtec_ad'):
        source = checked_source(root)
        assert (source.name, source.category, source.augmentation) == ('mvtec_ad', 'bottle', 'HVRC')
    assert len(check_dataset(tmp_path/'mvtec_ad')) == 1


def test_linked_parts_of_a_category_are_used(tmp_path):
    make_mvtec_ad(tmp_path/'data')
    (tmp_path/'data'/'nut'/'train'/'good').rename(tmp_path/'away')
    (tmp_path/'data'/'nut'/'train'/'good').symlink_to(tmp_path/'away')
    row, = check_dataset(tmp_path/'data')
    assert (row['train'], row['faults'], row['left_out']) == (4, [], [])


@pytest.mark.parametrize('name', ['set.zip', 'set.7z', 'set.rar', 'set.tar.xz'])
def test_an_archive_in_place_of_a_folder_says_what_to_do(name, tmp_path):
    zipfile.ZipFile(tmp_path/name, 'w').writestr('a', 'b')
    with pytest.raises(UserError, match=f'{name} is an archive; unpack it .*mudenet data unpack'):
        recognize(tmp_path/name)


def test_a_file_in_place_of_a_folder_is_called_one(tmp_path):
    picture(tmp_path/'a.png')
    with pytest.raises(UserError, match='a.png is a file; give the folder that holds it'): recognize(tmp_path/'a.png')


def test_a_home_folder_may_be_short(nuts, monkeypatch):
    monkeypatch.setenv('HOME', str(nuts.parent.parent))
    assert recognize('~/data')[0].root == nuts.parent and check_dataset('~/data/nuts')[0]['faults'] == []


def test_one_case_of_endings_for_images_and_masks(tmp_path):
    make_mvtec_ad(tmp_path)
    for p in [*tmp_path.rglob('*.png')]: p.rename(p.with_name(p.stem.upper() + '.PNG'))
    row, = check_dataset(tmp_path)
    assert (row['faults'], row['masks'], row['left_out']) == ([], 2, [])


@pytest.mark.parametrize('name', ['@eaDir', '__MACOSX', 'lost+found', '#recycle', '.ipynb_checkpoints', '$RECYCLE.BIN'])
def test_a_system_s_folder_is_no_kind_of_defect(name, nuts):
    picture(nuts/name/'000.png')
    row, = check_dataset(nuts)
    assert row['types'] == {'bent': 2} and reasons(row) == {'000.png': "a system's file"}


@pytest.mark.parametrize('content, says', [
    (b'\xef\xbb\xbf', None), (b'gr\xfcn', 'since it is not UTF-8')])
def test_a_table_may_begin_with_a_mark_and_must_be_utf8(content, says, tmp_path):
    make_visa(tmp_path/'visa')
    make_mvtec_loco(tmp_path/'loco')
    for path in (tmp_path/'visa/split_csv/1cls.csv', tmp_path/'loco/juice_bottle/defects_config.json'):
        path.write_bytes(content + path.read_bytes())
        faults = check_dataset(tmp_path/path.relative_to(tmp_path).parts[0])[0]['faults']
        assert says in faults[0] if says else faults == []


@pytest.mark.parametrize('kind', ['.7z', '.rar', '.zst'])
def test_an_archive_of_another_kind_names_the_kinds_that_are_unpacked(kind, tmp_path):
    from mudenet.data.archives import unpack
    (tmp_path/f'x{kind}').write_bytes({'.7z': b'7z\xbc\xaf\x27\x1c', '.rar': b'Rar!\x1a\x07',
                                       '.zst': b'(\xb5/\xfd\0'}[kind])
    with pytest.raises(UserError, match=f'of the kind {kind}; .zip, .tar, .tar.gz'): unpack(tmp_path/f'x{kind}',
                                                                                            tmp_path/'out')


def test_pixels_of_a_plain_set_are_what_they_were(nuts):
    one, = [t.path for t in checked_source(nuts).files().test if t.type == 'bent'][:1]
    ds = load_dataset(checked_source(nuts), 48)
    expected = np.asarray(Image.open(one).resize((48,48), Image.Resampling.BILINEAR)).transpose(2,0,1)
    assert (ds.test[ds.types.index('bent')].numpy() == expected).all()
