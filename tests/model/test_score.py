"Anomaly maps worked by hand: what each field of the config's group `score` does to them."
import pytest, torch
from mudenet.core.config import Score
from mudenet.model.score import anomaly_maps, image_scores, normalization_range

RANGE = torch.tensor([0., 2.]).view(2, 1, 1, 1, 1).expand(2, 2, 3, 1, 1)      # 0 becomes 0 and 2 becomes 1


def expect(distances, range_, score, value):
    "The anomaly map is this number everywhere."
    torch.testing.assert_close(anomaly_maps(distances, range_, score, 64), torch.full((1, 64, 64), value),
                               atol=1e-5, rtol=0)


@pytest.mark.parametrize('which, structural', [('all', .5), ('last', 1.)])
def test_the_structural_branch_is_its_levels_mean_or_its_last_level(which, structural):
    levels = torch.arange(3.)[None,None,:,None,None].expand(1, 2, 3, 32, 32)           # 0, half, whole
    expect(levels, RANGE, Score(structural_levels=which), structural + .5)


def test_three_branches_are_added_like_two():
    expect(torch.ones(1, 3, 3, 32, 32), RANGE[:,:1].expand(2, 3, 3, 1, 1), Score(backbone_branch=True), 1.5)


@pytest.mark.parametrize('clamp, logical', [(True, 1.), (False, 3.)])
def test_a_branch_beyond_its_range_counts_one_when_clamped(clamp, logical):
    distances = torch.ones(1, 2, 3, 32, 32)
    distances[:,1] = 6
    expect(distances, RANGE, Score(clamp=clamp), .5 + logical)


@pytest.mark.parametrize('other', [dict(interpolation='bicubic'), dict(smooth_first=True)])
def test_another_way_of_upsampling_changes_a_map_slightly(other):       # E5.2 and E5.3
    noise = torch.rand(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    difference = anomaly_maps(noise, RANGE, Score(**other), 64) - anomaly_maps(noise, RANGE, Score(), 64)
    assert 0 < difference.abs().max() < .05


def test_the_range_of_a_branch_is_over_images_and_places():
    found = normalization_range(torch.arange(2*2*3*4.).reshape(2, 2, 3, 2, 2), Score())
    assert found.shape == (2, 2, 3, 1, 1) and found[:,0,0].flatten().tolist() == [0., 27.]


@pytest.mark.parametrize('by, is_found', [('branch', False), ('position', True)])
def test_a_range_by_position_finds_what_is_unusual_for_its_place_alone(by, is_found):
    nominal = torch.ones(9, 2, 3, 32, 32)
    nominal[...,16:] = 10                                       # harder there in every image
    nominal *= 1 + .1*torch.rand(9, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    defect = nominal[:1].clone()
    defect[...,8,8] = 3                                         # more than usual for its place, not for the image
    score = Score(clamp=False, sigma=0., normalize_by=by)
    at = anomaly_maps(defect, normalization_range(nominal, score), score, 64)[0].argmax().item()
    assert (at//64 in (16, 17) and at % 64 in (16, 17)) == is_found


def test_a_branch_that_never_answers_has_a_range_by_position():
    assert not normalization_range(torch.zeros(2, 2, 3, 8, 8), Score(normalize_by='position')).isnan().any()


def test_maps_do_not_depend_on_the_batch():
    noise = torch.rand(5, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, two = (anomaly_maps(noise, RANGE, Score(), 64, batch_size=n) for n in (2, 32))
    torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


def test_an_image_scores_its_maps_maximum(): assert image_scores(torch.eye(4)[None]*3).tolist() == [3.]
