"The networks' shapes at every image size, and what each variant of the architecture adds."
from dataclasses import replace
import pytest, torch
from mudenet.core.config import Network
from mudenet.core.errors import UserError
from mudenet.model.networks import Autoencoder, make_network

SMALL = Network(width=8, channels=4)


def parameters(net): return sum(p.numel() for p in net.parameters())


def equal(one, two): return all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters()))


@pytest.mark.parametrize('size', [64, 96, 128, 160, 224, 256])
def test_the_autoencoder_answers_at_half_the_size_of_any_image(size):
    maps = Autoencoder(replace(SMALL, channels=8), size)(torch.zeros(1, 3, size, size))
    assert [tuple(m.shape) for m in maps] == [(1, 8, size//2, size//2)]*3


@pytest.mark.parametrize('size', [32, 100])
def test_an_autoencoder_of_another_size_is_refused(size):
    with pytest.raises(UserError, match='a multiple of 32 and at least 64'): Autoencoder(SMALL, size)


def test_the_decoder_is_negative_too_unless_the_config_asks_for_a_relu():
    x, lowest = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), []
    for relu in (False, True):
        net = make_network('autoencoder', replace(SMALL, decoder_relu=relu), 64, 5)
        lowest.append(min(m.min().item() for m in net(x)))
    assert lowest[0] < 0 <= lowest[1]


# The parameters that theory gives: a BatchNorm has two for each channel.
VARIANTS = [
    (dict(block='pre-activation'), 0), (dict(block='relu-before-addition'), 0), (dict(stem_pool='max'), 0),
    (dict(stem_norm=True), 2*8), (dict(projection='bn'), 3*2*4), (dict(projection='bn-relu'), 3*2*4)]


@pytest.mark.parametrize('change, more', VARIANTS, ids=[' '.join(map(str, *c.items())) for c, _ in VARIANTS])
def test_a_variant_keeps_the_shapes_changes_the_answer_and_adds_its_parameters(change, more):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain, net = (make_network('student1', network, 64, 5) for network in (SMALL, replace(SMALL, **change)))
    assert parameters(net) - parameters(plain) == more
    assert [m.shape for m in net(x)] == [m.shape for m in plain(x)]
    assert not torch.equal(net(x)[2], plain(x)[2])


def test_batchnorm_in_the_autoencoder_adds_two_parameters_a_channel():
    plain, normed = (make_network('autoencoder', replace(SMALL, autoencoder_norm=on), 64, 5) for on in (False, True))
    encoder, decoders = 2*(32 + 64 + 3*4), 3*3*2*4
    assert parameters(normed) - parameters(plain) == encoder + decoders


def test_a_seed_decides_the_weights_and_leaves_the_global_random_state():
    before = torch.get_rng_state()
    for kind in ('student1', 'autoencoder'):
        one, two, other = (make_network(kind, SMALL, 64, seed) for seed in (5, 5, 6))
        assert equal(one, two) and not equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
