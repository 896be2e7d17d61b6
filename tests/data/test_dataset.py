"What is decoded, resized, held out and fingerprinted."
import json
import numpy as np, pytest, torch
from PIL import Image
from layouts import ENTRIES, SHAPE, make_folder, make_mvtec_ad, make_mvtec_loco, mask
from mudenet.data.dataset import load_dataset, resize_images, resize_masks, split_holdout
from mudenet.data.images import resize
from mudenet.data.sources import checked_source


@pytest.mark.parametrize('n, share, held', [(224, .1, 22), (2, .1, 1), (2, .9, 1), (10, .5, 5)])
def test_the_holdout_leaves_something_on_both_sides(n, share, held):
    train_idx, calibration_idx = split_holdout(n, share, 42)
    assert len(calibration_idx) == held and sorted([*train_idx.tolist(), *calibration_idx.tolist()]) == list(range(n))


def test_the_seed_decides_the_holdout():
    one, same, other = (split_holdout(224, .1, seed)[1].tolist() for seed in (42, 42, 7))
    assert one == same and set(one) != set(other)


def test_many_images_are_resized_as_one_is():
    noise = np.random.default_rng(0).integers(0, 256, (90,160,3), np.uint8)
    many = resize_images(torch.from_numpy(noise).permute(2,0,1)[None], 64)[0].int()
    assert (many - torch.from_numpy(resize(noise, 64).astype(int))).abs().max() <= 1


def test_a_resized_mask_keeps_its_share():
    square = torch.zeros(1, 64, 64, dtype=bool)
    square[0,16:32,16:32] = True
    assert resize_masks(square, 32).sum() == 8*8 and resize_masks(square, 64) is square


def test_images_masks_and_names_belong_together(tmp_path):
    make_mvtec_ad(tmp_path)
    ds = load_dataset(checked_source(tmp_path), 48)
    assert (ds.train.shape, ds.test.shape, ds.types) == ((4,3,48,48), (4,3,48,48), ['cut', 'cut', 'good', 'good'])
    assert ds.paths == ['test/cut/000.png', 'test/cut/001.png', 'test/good/000.png', 'test/good/001.png']
    assert ds.train_paths[0] == 'train/good/000.png' and ds.labels.tolist() == [True, True, False, False]
    share = ds.masks.float().mean((1,2))
    assert abs(share - torch.tensor([1, 1, 0, 0])*8*8/(SHAPE[0]*SHAPE[1])).max() < .01
    assert ds.fingerprint() == load_dataset(checked_source(tmp_path), 48).fingerprint()


def test_a_defect_of_one_pixel_remains_one(tmp_path):
    make_mvtec_ad(tmp_path)
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[0,0] = 1                                    # which no nearest pixel of the small mask falls on
    Image.fromarray(pixels).save(tmp_path/'nut/ground_truth/cut/000_mask.png')
    assert load_dataset(checked_source(tmp_path), 16).masks[0].sum() == 1


def test_the_fingerprint_tells_images_masks_and_types_apart(tmp_path):
    make_mvtec_ad(tmp_path)
    found = [load_dataset(checked_source(tmp_path), 48).fingerprint()]
    def again(): found.append(load_dataset(checked_source(tmp_path), 48).fingerprint())
    mask(tmp_path/'nut/ground_truth/cut/000_mask.png', 9)
    again()
    assert found[0] == found[1]                        # the same pixels are marked
    (tmp_path/'nut/train/good/000.png').write_bytes((tmp_path/'nut/train/good/001.png').read_bytes())
    again()
    for d in ('test', 'ground_truth'): (tmp_path/'nut'/d/'cut').rename(tmp_path/'nut'/d/'bent')
    again()
    assert len(set(found)) == 3


def test_the_publishers_validation_images_are_held_out_whatever_the_seed(tmp_path):
    make_mvtec_loco(tmp_path)
    ds = load_dataset(checked_source(tmp_path), 64)
    for seed in (7, 42): assert [t.tolist() for t in ds.split(.1, seed)] == [[0,1,2], [3,4]]


def test_single_defects_keep_their_size_and_their_type(tmp_path):
    make_mvtec_loco(tmp_path)
    ds = load_dataset(checked_source(tmp_path), 64)
    types = {}
    for i, path in enumerate(ds.paths): types[path] = [entry['defect_name'] for _, entry in ds.defects[i]]
    assert types == {'test/good/000.png': [], 'test/good/001.png': [],
                     'test/logical_anomalies/000.png': ['missing', 'scratch'],
                     'test/logical_anomalies/001.png': ['missing'], 'test/structural_anomalies/000.png': ['scratch']}
    single, _ = ds.defects[ds.paths.index('test/structural_anomalies/000.png')][0]
    assert (ds.defects.shape, single.shape, single.sum(), len(ds.defects)) == (SHAPE, SHAPE, 64, 5)


def test_the_saturation_of_a_defect_is_part_of_the_fingerprint(tmp_path):
    make_mvtec_loco(tmp_path)
    before = load_dataset(checked_source(tmp_path), 64).fingerprint()
    changed = [e | {'saturation_threshold': 5} for e in ENTRIES]
    (tmp_path/'juice_bottle/defects_config.json').write_text(json.dumps(changed))
    assert load_dataset(checked_source(tmp_path), 64).fingerprint() != before


def test_pictures_without_masks_have_none(tmp_path):
    make_folder(tmp_path)
    ds = load_dataset(checked_source(tmp_path), 64)
    assert ds.masks is None and ds.defects is None and len(ds.train) + ds.types.count('good') == 6 and ds.fingerprint()
