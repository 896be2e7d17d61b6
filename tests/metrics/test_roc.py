"AUROC, average precision and F1 equal scikit-learn's; one search gives what each gives alone."
import numpy as np, pytest
from metric_cases import each_case
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from mudenet.metrics import aupro, average_precision, f1_max, image_auroc, pixel_auroc
from mudenet.metrics.pro import region_weights
from mudenet.metrics.ranks import rank_counts
from mudenet.metrics.roc import pixel_metrics


def assert_equal_to_scikit_learn(truth, scores):
    precision, recall, _ = precision_recall_curve(truth, scores)
    best = (2*precision*recall/np.maximum(precision + recall, 1e-300)).max()
    assert image_auroc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert f1_max(truth, scores) == pytest.approx(best, abs=1e-12)


@each_case
def test_pixels_and_images_equal_scikit_learn(case):
    masks, maps = case
    assert_equal_to_scikit_learn(masks.ravel(), maps.ravel())
    assert_equal_to_scikit_learn(masks.any((1, 2)), maps.max((1, 2)))
    assert pixel_auroc(masks, maps) == image_auroc(masks.ravel(), maps.ravel())


def test_many_ties_equal_scikit_learn():
    rng = np.random.default_rng(0)
    assert_equal_to_scikit_learn(rng.random(500) < .3, rng.integers(0, 20, 500)/7)


def test_separated_scores_are_perfect():
    figures = [metric([0, 0, 1, 1], [1, 2, 3, 4]) for metric in (image_auroc, average_precision, f1_max)]
    assert figures == [1., 1., 1.]


def test_constant_scores_are_chance():
    figures = [metric([0, 1, 0, 1], [1]*4) for metric in (image_auroc, average_precision, f1_max)]
    assert figures == [1/2, 1/2, 2/3]


@each_case
@pytest.mark.parametrize('limit', [.05, .3, 1.])
def test_one_search_gives_what_each_gives_alone(case, limit):
    alone = [pixel_auroc(*case), aupro(*case, limit), average_precision(*case), f1_max(*case)]
    together = pixel_metrics(rank_counts(*case), region_weights(case[0]), limit)
    assert [*together.values()] == pytest.approx(alone, abs=1e-12)
