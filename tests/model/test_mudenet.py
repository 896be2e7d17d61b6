"Which networks stand behind each branch, and that the order of memory does not change their distances."
import pytest, torch
from mudenet.core.config import Compute, Network
from mudenet.data.augment import normalize
from mudenet.model.backbone import FeatureTarget
from mudenet.model.mudenet import NETWORKS, MuDeNet

SMALL = Network(width=8, channels=4)


@pytest.fixture(scope='module')
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 3, 64, 64), generator=generator, dtype=torch.uint8)


def model_of(backbone=None): return MuDeNet(SMALL, 64, seed=42, backbone=backbone).eval()


@torch.no_grad()
def test_the_logical_branch_is_the_autoencoder_against_the_second_student(images):
    model = model_of()
    a, s = model.autoencoder(normalize(images)), model.student2(normalize(images))
    distances = model.distance_maps(images, Compute(), batch_size=2)
    assert distances.shape == (5, 2, 3, 32, 32)
    for level in range(3):
        torch.testing.assert_close(distances[:,1,level], (a[level] - s[level]).square().sum(1), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_third_branch_is_the_backbone_against_the_teacher_and_leaves_the_others(images):
    backbone = FeatureTarget('efficientnet_lite0', 4, 0)
    two, three = (model_of(b).distance_maps(images, Compute()) for b in (None, backbone))
    assert three.shape == (5, 3, 3, 32, 32)
    torch.testing.assert_close(three[:,:2], two, atol=1e-4, rtol=1e-4)
    e, t = backbone(normalize(images)), model_of().teacher(normalize(images))
    for level in range(3):
        torch.testing.assert_close(three[:,2,level], (e - t[level]).square().sum(1), atol=1e-3, rtol=1e-4)


def test_each_network_has_initial_weights_of_its_own():
    model = model_of()
    firsts = [next(getattr(model, name).parameters()).flatten()[:100] for name in NETWORKS]
    assert not [i for i in range(4) for j in range(i) if torch.equal(firsts[i], firsts[j])]


def test_distances_are_the_same_in_either_memory_order(images):
    one, two = (model_of().distance_maps(images, Compute(channels_last=order)) for order in (False, True))
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
