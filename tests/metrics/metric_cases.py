"Cases and metrics that the tests of this folder share."
import numpy as np, pytest
from scipy import ndimage
from mudenet.metrics import aupimo, aupro, average_precision, f1_max, image_auroc, pixel_auroc, spro

BOUNDS = (1e-4, 1e-2)      # of AUPIMO: the cases have some 30,000 nominal pixels


def make_case(kind, dtype=np.float32, n=12, side=64):
    "Masks with defects in the first four images, and maps that see them a little."
    rng = np.random.default_rng(3)
    masks = np.zeros((n,side,side), bool)
    masks[:4,10:30,20:33] = masks[2,50:60,40:60] = True
    maps = ndimage.gaussian_filter(rng.random(masks.shape) + .1*masks, (0,2,2)).astype(dtype)
    if kind == 'ties':
        outliers = (rng.random(masks.shape) < .002)*rng.random(masks.shape).astype(dtype)
        maps = np.round(maps*30)/dtype(30) + outliers
    return masks, maps.astype(dtype)


def one_defect(masks, area=7):
    "Masks as sPRO takes them: one defect an image, saturated at an area."
    return [[(mask, area)] if mask.any() else [] for mask in masks]


PIXEL = {
    'pixel_auroc': pixel_auroc,
    'aupro': aupro,
    'average_precision': average_precision,
    'f1_max': f1_max,
    'aupimo': lambda masks, maps: aupimo(masks, maps, BOUNDS)[1],
    'spro': lambda masks, maps: spro(one_defect(masks), maps),
}
IMAGE = {'image_auroc': image_auroc, 'average_precision': average_precision, 'f1_max': f1_max}
CASES = {kind: make_case(kind) for kind in ('smooth', 'ties')}

each_metric = pytest.mark.parametrize('metric', PIXEL.values(), ids=PIXEL)
each_case = pytest.mark.parametrize('case', CASES.values(), ids=CASES)
