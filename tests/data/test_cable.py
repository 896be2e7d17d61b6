"The generated cable: the same for the same arguments, exact masks, and good cables that differ."
import copy
import numpy as np
import pytest, torch
from mudenet.core.errors import UserError
from mudenet.data.cable import DEFECTS, LOGICAL, add_defect, generate_cable, write_mvtec
from mudenet.data.dataset import load_dataset
from mudenet.data.paint import expose, paint
from mudenet.data.scene import KINDS, SIZE, STRANDS, draw_scene
from mudenet.data.sources import checked_source

FEW = dict(train=2, good=2, defects=dict.fromkeys(DEFECTS, 2))


@pytest.fixture(scope='module')
def few(): return generate_cable(**FEW)


def scene_of(seed): return draw_scene(np.random.default_rng(seed))


def with_defect(kind, seed):
    "A scene and the same scene with a defect."
    nominal = scene_of(seed)
    scene = copy.deepcopy(nominal)
    add_defect(scene, kind, np.random.default_rng(seed))
    return nominal, scene


def test_the_counts_are_those_of_mvtec_ad():
    assert sum(DEFECTS.values()) == 92 and len(DEFECTS) == 8 and set(LOGICAL) < set(DEFECTS)


def test_a_core_holds_20_to_60_strands_and_no_two_are_alike():
    cores = [core for seed in range(20) for core in scene_of(seed).cores]
    counts = [len(core.strands) for core in cores]
    assert min(counts) >= STRANDS[0] == 20 and max(counts) <= STRANDS[-1] == 60 and len(set(counts)) > 10
    means = [core.tones.mean() for core in cores]
    assert min(means) < .2 and max(means) > .8                    # from all black to all white


def test_the_upper_core_is_green_and_the_lower_left_one_blue():
    scene = scene_of(0)
    picture, radius = paint(scene), 34                            # between the strands and the rim
    for core, channel in zip(scene.cores, (1, 2)):
        x, y = (core.center[i]*scene.scale + scene.shift[i] + SIZE/2 for i in (0, 1))
        assert picture[:, int(y) + radius - 2, int(x)].argmax() == channel


def test_every_defect_shows_and_nothing_else(few):
    assert (len(few.train), len(few.test), few.paths) == (2, 18, sorted(few.paths))
    share = few.masks.float().mean((1,2))
    assert (share[few.labels] > 3e-4).all() and (share[~few.labels] == 0).all()


@pytest.mark.parametrize('size', [64, 128])
def test_every_defect_shows_in_small_pictures_too(size):
    small = generate_cable(size, train=1, good=1, defects=dict.fromkeys(DEFECTS, 6))
    assert small.masks.flatten(1).any(1)[small.labels].all()


def test_a_picture_differs_from_that_without_the_defect_in_its_mask_alone():
    nominal, scene = with_defect('poke_insulation', 1)
    changed = np.abs(paint(scene, 128) - paint(nominal, 128)).max(0)
    assert changed.max() > 12 and (changed == 0).mean() > .9


def test_a_swap_leaves_the_cores_as_they_are_but_for_their_insulation():
    nominal, scene = with_defect('cable_swap', 0)
    kinds = [core.kind for core in scene.cores]
    assert kinds != [*KINDS] and set(kinds) <= set(KINDS)
    for a, b in zip(nominal.cores, scene.cores):
        assert (a.strands == b.strands).all() and (a.kept == b.kept).all() and b.lost is None


def lost_cores(kind, seed): return sum(core.lost is not None for core in with_defect(kind, seed)[1].cores)


def test_a_combined_defect_hides_no_part_of_itself_under_lost_cores():
    assert {lost_cores('combined', seed) for seed in range(40)} == {0, 1}


def test_all_cores_are_lost_now_and_then():
    lost = [lost_cores('missing_cable', seed) for seed in range(40)]
    assert set(lost) == {1, 3} and lost.count(1) > 20


def test_the_same_arguments_give_the_same_pictures(few):
    again, other = generate_cable(**FEW), generate_cable(seed=1, **FEW)
    assert again.fingerprint() == few.fingerprint() != other.fingerprint()
    assert (again.test == few.test).all() and (again.masks == few.masks).all() and not (other.test == few.test).all()
    assert (few.name, other.name) == ('generated', 'generated-1')


def test_the_number_of_threads_changes_no_bit():
    before = torch.get_num_threads()
    pictures = []
    for n in (1, 2):
        torch.set_num_threads(n)
        pictures.append(generate_cable(64, train=2, good=1, defects={'bent_wire': 1}))
    torch.set_num_threads(before)
    one, two = pictures
    assert (one.train == two.train).all() and (one.test == two.test).all() and (one.masks == two.masks).all()


def test_each_argument_is_part_of_the_fingerprint():
    base = dict(size=32, seed=0, train=2, good=1, defects={'bent_wire': 1})
    changes = [{}, dict(size=48), dict(seed=1), dict(train=3), dict(good=2), dict(defects={'missing_wire': 1})]
    assert len({generate_cable(**base | change).fingerprint() for change in changes}) == len(changes)


def test_the_pictures_are_those_of_this_version():
    "A change here means other images: it takes another `GENERATOR`, since the fingerprint is that of the recipe."
    small = generate_cable(64, train=4, good=2, defects={'bent_wire': 1, 'combined': 1})
    assert small.fingerprint() == '5d036ab9ca32a35b'
    assert small.test.float().mean((1,2,3)).tolist() == pytest.approx([98.2, 105.8, 110.7, 105.4], abs=.2)
    assert small.masks.sum((1,2)).tolist() == pytest.approx([122, 155, 0, 0], abs=3)


def test_the_noise_of_the_sensor_stays_in_a_byte():
    noisy = expose(np.array([[[-5., 300.]]], np.float32), np.random.default_rng(0))
    assert noisy.dtype == np.uint8 and noisy[0,0,0] < 20 and noisy[0,0,1] > 235


def test_no_defects_and_no_nominal_images():
    assert generate_cable(64, train=1, good=1, defects={}).types == ['good']
    assert generate_cable(64, train=1, good=0, defects={'bent_wire': 1}).types == ['bent_wire']


def test_a_defect_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="Defect 'rust' does not exist; there are: bent_wire"):
        add_defect(scene_of(0), 'rust', np.random.default_rng(0))


def test_a_folder_in_mvtec_layout_gives_the_same_bits_back(few, tmp_path):
    assert write_mvtec(few, tmp_path) == tmp_path/'cable'
    back = load_dataset(checked_source(tmp_path), SIZE)
    assert (back.train == few.train).all() and (back.test == few.test).all() and (back.masks == few.masks).all()
    with pytest.raises(UserError, match='exists already'): write_mvtec(few, tmp_path)
