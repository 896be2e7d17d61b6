"A heatmap in 256 levels looks like one in floating point, and its outline is exact."
import numpy as np, pytest
from PIL import Image
from mudenet.deploy.overlay import COLORS, blend, overlay, shrink

STOPS = np.array([(0,0,4), (51,10,94), (120,28,109), (187,55,84), (237,105,37), (252,181,25), (252,255,164)])
CYAN = (0, 255, 255)


def float_blend(picture, heat, threshold):
    "The same without levels: gray under a color that grows opaque up to the threshold."
    resized = Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    x = np.asarray(resized)/threshold
    alpha, gray = np.clip(x, 0, 1)[...,None]*.75, np.asarray(picture.convert('L'))[...,None]
    colors = np.stack([np.interp(np.clip(x/2, 0, 1), np.linspace(0, 1, 7), c) for c in STOPS.T], -1)
    mixed, above = (1 - alpha)*gray + alpha*colors, np.pad(x > 1, 2)
    inside = np.all([np.roll(above, (dy, dx), (0, 1)) for dy in (-2,0,2) for dx in (-2,0,2)], 0)
    mixed[(above & ~inside)[2:-2,2:-2]] = CYAN
    return mixed


@pytest.mark.parametrize('threshold', [.1, 1., 40.])
def test_levels_look_like_floating_point(threshold):
    rng = np.random.default_rng(0)
    picture = shrink(rng.integers(0, 256, (90, 400, 3), np.uint8))
    y, x = np.mgrid[:32,:32]/31
    heat = threshold*(1 + np.sin(9*x)*np.cos(7*y) + .2*rng.random((32, 32)))      # below, around and above it
    found, expected = np.asarray(blend(picture, heat, threshold)).astype(float), float_blend(picture, heat, threshold)
    assert np.array_equal((found == CYAN).all(-1), (expected == CYAN).all(-1))
    assert np.abs(found - expected).max() < 4                                     # of 255


def test_colors_grow_in_lightness():
    assert np.array_equal(COLORS[[0, -1]], STOPS[[0, -1]])
    assert (np.diff(COLORS.astype(float)@(.2126, .7152, .0722)) > -1).all()


def test_a_map_of_zeros_at_a_threshold_of_zero_is_gray():
    picture = shrink(np.full((50, 60, 3), 99, np.uint8))
    assert np.unique(np.asarray(blend(picture, np.zeros((8, 8), np.float32), 0.))).tolist() == [99]
    assert overlay(picture, np.zeros((8, 8), np.float32), 0., 0.).width == 2*picture.width + 4
