"A benchmark is recognized by its folders, and what a run names becomes one category."
from pathlib import Path
import pytest
from layouts import make_folder, make_good_only, make_mvtec_ad, make_mvtec_loco, make_visa
from mudenet.core.errors import UserError
from mudenet.data.layouts import find_folder
from mudenet.data.sources import BENCHMARKS, GENERATED, augmentation_row, checked_source, find_source, recognize


def touch(root, *names):
    for name in names:
        (root/name).parent.mkdir(parents=True, exist_ok=True)
        (root/name).touch()
    return root


@pytest.mark.parametrize('name, make, category, row', [
    ('mvtec_ad', make_mvtec_ad, 'nut', 'H'), ('mvtec_loco', make_mvtec_loco, 'juice_bottle', 'HV'),
    ('visa', make_visa, 'pcb1', 'HV'), ('folder', make_folder, 'nuts', 'H'), ('folder', make_good_only, 'nuts', 'H')])
def test_a_benchmark_is_recognized_by_its_folders(name, make, category, row, tmp_path):
    make(tmp_path)
    source, alone = checked_source(tmp_path), checked_source(tmp_path/category)
    named = checked_source(tmp_path, category, name)
    for s in (source, named, alone): assert (s.benchmark, s.category, s.augmentation) == (name, category, row)
    assert source.name == tmp_path.name and alone.name == (category if name == 'folder' else tmp_path.name)
    assert alone.files().train == source.files().train


def test_the_categories_of_the_benchmarks_have_names_of_their_own():
    names = [c for b in BENCHMARKS.values() for c in b.augmentation]
    assert len(names) == len(set(names)) == 32
    assert all(set(row) <= set('HVRC') for b in BENCHMARKS.values() for row in b.augmentation.values())
    assert augmentation_row('mvtec_ad', 'cable') == augmentation_row(GENERATED, 'cable') == 'HC'
    assert augmentation_row('mvtec_ad', 'nut') == 'H'


def test_a_category_that_is_not_complete_is_listed_and_is_no_folder_without_masks(tmp_path):
    make_mvtec_ad(tmp_path)
    touch(tmp_path, 'bottle/train/good/0.png')
    assert [s.category for s in recognize(tmp_path)] == ['bottle', 'nut']
    assert recognize(tmp_path/'bottle')[0].benchmark == 'mvtec_ad'


def test_a_category_that_the_table_of_visa_names_is_listed(tmp_path):
    make_visa(tmp_path)
    (tmp_path/'split_csv/1cls.csv').open('a').write('\npcb2,train,normal,pcb2/Data/Images/Normal/0.JPG,')
    assert [s.category for s in recognize(tmp_path)] == ['pcb1', 'pcb2']
    with pytest.raises(UserError, match='0.JPG is missing.*There are 3 more faults: mudenet data check '):
        checked_source(tmp_path, 'pcb2')


@pytest.mark.parametrize('arguments, says', [
    (('', 'nut', 'auto'), 'there is: cable'), (('', '', 'visa'), 'give it as data_root'),
    (('no-such-folder', '', 'auto'), 'no-such-folder does not exist'), (('.', '', 'generated'), 'need no folder'),
    (('', '', 'vissa'), "did you mean 'visa'")])
def test_what_does_not_exist_is_refused(arguments, says):
    with pytest.raises(UserError, match=says): find_source(*arguments)


def test_a_category_is_needed_where_there_are_several(tmp_path):
    touch(tmp_path, *(f'{c}/good/{i}.png' for c in ('nuts', 'bolts') for i in range(3)), 'nuts/bent/0.png')
    with pytest.raises(UserError, match='several categories; name one as category: bolts, nuts'): find_source(tmp_path)
    with pytest.raises(UserError, match="'screws' does not exist in .*; there are: bolts, nuts"):
        find_source(tmp_path, 'screws')
    assert find_source(tmp_path, 'nuts').category == 'nuts'


def test_where_categories_are_of_two_kinds_the_dataset_must_be_named(tmp_path):
    make_mvtec_ad(tmp_path)
    touch(tmp_path, *(f'{c}/good/{i}.png' for c in ('bolts', 'screws') for i in range(3)))
    with pytest.raises(UserError, match=r'of mvtec_ad \(nut …\) and of folder \(bolts …\); name the dataset: mvtec_ad '
                                        'or folder'): find_source(tmp_path)
    assert [s.category for s in recognize(tmp_path, 'mvtec_ad')] == ['nut']
    assert {'bolts', 'screws'} <= {s.category for s in recognize(tmp_path, 'folder')}


def test_a_folder_of_nothing_says_what_each_benchmark_looks_like(tmp_path):
    with pytest.raises(UserError, match='holds no category .*defects_config.json or .* good or train/good'):
        recognize(tmp_path)
    with pytest.raises(UserError, match=r'holds no category of visa \(a folder with Data/Images\)'):
        recognize(tmp_path, 'visa')


def test_a_folder_cannot_take_the_name_of_the_generated_cable(tmp_path):
    make_folder(tmp_path/GENERATED)
    make_folder(tmp_path/f'{GENERATED}-7')                 # as another seed's cables are called
    for name in (GENERATED, f'{GENERATED}-7'):
        with pytest.raises(UserError, match=f"would be called '{name}' in records.*rename it"): recognize(tmp_path/name)
    with pytest.raises(UserError, match='rename it'): find_source(tmp_path/GENERATED)
    source = find_source()
    assert (source.name, source.category, source.root) == (GENERATED, 'cable', None) and checked_source() == source


# your own pictures

def test_a_later_picture_moves_no_other_one(tmp_path):
    touch(tmp_path, *(f'nuts/good/{i:03}.jpg' for i in range(40)))
    before = find_folder(tmp_path, 'nuts')
    assert 2 <= len(before.test) <= 16 and len(before.train) + len(before.test) == 40
    touch(tmp_path, 'nuts/good/later.jpg')
    assert set(before.test) <= set(find_folder(tmp_path, 'nuts').test)


def test_good_pictures_alone_are_enough_and_two_are_left_to_train_on(tmp_path):
    touch(tmp_path, *(f'nuts/good/{i}.jpg' for i in range(3)))
    files = find_folder(tmp_path, 'nuts')
    assert (len(files.train), len(files.test), files.masks, files.faults) == (2, 1, False, [])
    Path(tmp_path/'nuts/good/0.jpg').unlink()
    with pytest.raises(UserError, match='holds 2 of the nominal images; at least 3 are needed'):
        checked_source(tmp_path)


def test_test_pictures_that_are_set_apart_are_taken(tmp_path):
    touch(tmp_path, *(f'nuts/train/good/{i}.png' for i in range(2)), 'nuts/test/good/0.png', 'nuts/test/bent/0.png')
    files = find_folder(tmp_path, 'nuts')
    assert len(files.train) == 2
    assert [(t.type, t.path.name) for t in files.test] == [('good', '0.png'), ('bent', '0.png')]
