"The same draws give the same pictures, and nothing asked is nothing done."
import pytest, torch
from mudenet.core.config import Augment, resolve_augment
from mudenet.data.augment import (
    Augmenter, epoch_batches, epoch_draws, IMAGENET_MEAN, IMAGENET_STD, jitter, normalize, rotate)

IMAGES = torch.randint(0, 256, (4,3,32,32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
NOTHING = Augment(False, False, 0., 0.)


def g(): return torch.Generator().manual_seed(1)


def augmented(augment): return Augmenter(augment)(IMAGES, epoch_draws(len(IMAGES), g()))


def test_white_is_normalized_by_the_statistics_of_imagenet():
    white = normalize(torch.full((1,3,2,2), 255, dtype=torch.uint8))
    assert torch.allclose(white[0,:,0,0]*torch.tensor(IMAGENET_STD) + torch.tensor(IMAGENET_MEAN), torch.ones(3))
    assert torch.equal(normalize(IMAGES), normalize(IMAGES/255))


def test_nothing_asked_is_nothing_done(): assert torch.equal(augmented(NOTHING), normalize(IMAGES))


@pytest.mark.parametrize('row', ['H', 'HV', 'HVR', 'HC', 'HVRC'])
def test_the_same_draws_give_the_same_pictures(row):
    augment = resolve_augment(Augment(), row)
    one, same = (augmented(augment) for _ in range(2))
    assert torch.equal(one, same) and not torch.equal(one, normalize(IMAGES)) and one.isfinite().all()


@pytest.mark.parametrize('augment, axis', [(Augment(True, False, 0., 0.), 2), (Augment(False, True, 0., 0.), 1)])
def test_an_image_is_flipped_or_not(augment, axis):
    pairs = [*zip(augmented(augment), normalize(IMAGES))]
    flipped = [torch.equal(out, plain.flip(axis)) for out, plain in pairs]
    kept = [torch.equal(out, plain) for out, plain in pairs]
    assert all(a != b for a, b in zip(flipped, kept)) and any(flipped)


def test_a_quarter_turn_moves_pixels_and_no_more():
    turned = rotate(IMAGES/255, torch.full((4,), 90.))
    assert torch.allclose(turned, (IMAGES/255).rot90(1, (2,3)), atol=1e-4)


def test_a_rotation_brings_no_black_corner():
    assert torch.allclose(rotate(torch.ones(1,3,32,32), torch.tensor([45.])), torch.ones(1,3,32,32))


def test_factors_of_one_change_no_color():
    luma = torch.tensor([.299,.587,.114])[:,None,None]
    assert torch.allclose(jitter(IMAGES/255, torch.ones(4,3), luma), IMAGES/255, atol=1e-6)


@pytest.mark.parametrize('n, batch, sizes', [(7, 3, [3,3,1]), (2, 8, [2]), (8, 8, [8]), (224, 8, [8]*28)])
def test_an_epoch_visits_every_image_once_and_keeps_the_last_batch(n, batch, sizes):
    batches = epoch_batches(epoch_draws(n, g()), batch)
    assert [len(b.image) for b in batches] == sizes
    assert sorted(torch.cat([b.image for b in batches]).tolist()) == list(range(n))


def test_coins_are_fair_and_draws_fill_their_range():
    draws = epoch_draws(4000, g())
    assert (draws.coins.double().mean(0) - .5).abs().max() < .05
    assert draws.uniform.min() < -.99 and draws.uniform.max() > .99 and draws.uniform.mean(0).abs().max() < .05
