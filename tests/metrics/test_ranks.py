"The counts that all metrics share equal plain comparisons, however the scores are spread."
import numpy as np, pytest
from mudenet.core.errors import UserError
from mudenet.metrics import aupimo, aupro, average_precision, f1_max, image_auroc, pixel_auroc, saturated_area
from mudenet.metrics.ranks import TopScores, as_truth, checked, mean_height, rank_among, rank_counts


def plain_counts(positive, nominal):
    "Nominal scores above each defective one, and those at least as high."
    return [[int((nominal > p).sum()) for p in positive], [int((nominal >= p).sum()) for p in positive]]


def spreads(dtype):
    "Defective and nominal scores: normal, tied, constant, with outliers, and so large that differences overflow."
    rng = np.random.default_rng(0)
    normal, uniform = rng.normal(size=(2, 500)), rng.random((2, 500))
    yield normal.astype(dtype)
    yield (rng.integers(0, 9, (2, 500))/7).astype(dtype)
    yield np.ones((2, 500), dtype)
    yield np.where(uniform < .01, 1e30, uniform).astype(dtype)
    yield normal.astype(dtype)*(np.finfo(dtype).max/9)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_counts_equal_plain_comparisons(dtype):
    for defective, nominal in spreads(dtype):
        ranks = rank_among(defective, nominal.copy())
        assert np.array_equal(ranks.scores, defective[ranks.order])
        assert np.array_equal([ranks.n_above, ranks.n_at_least], plain_counts(ranks.scores, nominal))


def test_shapes_that_differ_are_refused():
    with pytest.raises(UserError, match=r'\(3,\)'): checked([1, 0], [0, 1, 2])


@pytest.mark.parametrize('truth, says', [
    ([1, 0, np.nan], '0, 1, nan'), ([-1, 1, 1], '-1, 1'), ([1, 2, 1], '1, 2'), ([0, 0, -1], '-1, 0'),
    ([0, .3, 1], '0, 0.3, 1'), (range(9), '0, 1, 2 … 8'), (['good', 'bad', 'bad'], 'type <U4'),
    ([True, None, False], 'type object'), ([[0], [0, 1]], 'cannot be read as an array'), ([1j, 0, 0], 'complex'),
    (np.ma.masked_equal([0, 1, 9], 9), 'masked out')])
def test_labels_of_another_meaning_are_refused_in_one_sentence(truth, says):
    with pytest.raises(ValueError, match=says) as e: as_truth(truth)
    assert type(e.value) is UserError and '\n' not in str(e.value)
    for metric in (image_auroc, average_precision, f1_max):
        with pytest.raises(UserError, match=says): metric(truth, np.arange(len(truth)))


def test_masks_of_another_meaning_are_refused_by_each_metric_over_pixels():
    maps = np.random.default_rng(0).random((2, 4, 4))
    for odd in (np.nan, -1, 7):
        masks = np.zeros((2, 4, 4))
        masks[0,0,:2] = 255, odd
        for metric in (pixel_auroc, aupro, aupimo):
            with pytest.raises(UserError, match='The labels or masks hold the values'): metric(masks, maps)
        entry = dict(defect_name='cut', saturation_threshold=1, relative_saturation=False)
        with pytest.raises(UserError, match='hold the values'): saturated_area(entry, masks[0])


@pytest.mark.parametrize('truth', [[0, 1], [False, True], np.array([0, 255], np.uint8), [0., 1.],
                                   np.array([False, True], object), (0, 3)])
def test_labels_that_mean_yes_and_no_are_taken(truth):
    assert as_truth(truth).tolist() == [False, True] and as_truth(truth).dtype == bool


@pytest.mark.parametrize('scores', [['a', 'b'], [None, 1.], [1j, 2]])
def test_scores_that_are_no_numbers_are_refused(scores):
    with pytest.raises(UserError, match='The scores are of the type'): checked([1, 0], scores)


def test_one_class_has_no_ranks():
    for one in ([], [False]*3, [True]*3):
        with pytest.raises(UserError, match='only one class'): rank_counts(one, np.zeros(len(one)))


def test_an_array_and_its_pixels_have_the_same_ranks():
    rng = np.random.default_rng(0)
    truth, scores = rng.random((5, 8, 8)) < .1, rng.integers(0, 99, (5, 8, 8)).astype(np.float32)
    before, ranks = scores.copy(), rank_counts(truth, scores)
    assert np.array_equal(scores, before)                         # only copies are sorted
    assert np.array_equal(scores[truth][ranks.order], ranks.scores)
    assert np.array_equal([ranks.n_above, ranks.n_at_least], plain_counts(ranks.scores, scores[~truth]))


@pytest.mark.parametrize('x0, x1, low, high, height', [
    (0, 0, 0, 1, 1), (.5, .5, 0, 1, .5), (1, 1, 0, .5, 0),                  # steps
    (0, 1, 0, 1, .5), (0, 1, 0, .5, .25), (0, 1, .5, 1, .75),               # ties: a triangle and its halves
])
def test_mean_height_of_steps_and_triangles(x0, x1, low, high, height):
    assert mean_height(np.array([float(x0)]), np.array([float(x1)]), low, high) == [height]


@pytest.mark.parametrize('trial', range(40))
def test_top_scores_count_as_if_all_were_kept(trial):
    rng = np.random.default_rng(trial)
    stream = rng.integers(0, (3, 30, 10**6)[trial % 3], 400).astype(np.float32)
    size = int(rng.integers(1, 60))
    top = TopScores(size, 400)
    for piece in np.split(stream, [50, 60, 250]): top.add(piece)
    best = np.sort(stream)[-size:]
    assert np.array_equal(np.sort(top.kept()), best)
    assert top.tied == np.count_nonzero(stream == best[0]) - np.count_nonzero(best == best[0])
    assert len(top.buffer) == 2*size
    ranks = top.rank_counts(best)
    assert np.array_equal([ranks.n_above, ranks.n_at_least], plain_counts(best, stream))
    assert ranks.n_nominal == 400
