"The deployed graph gives the maps of `anomaly_maps`, for each experiment that changes networks or scoring."
import pytest, torch
from torch import nn
from mudenet.core.config import Compute, Network, Score
from mudenet.deploy.detector import Detector, fold_norms
from mudenet.model.backbone import FeatureTarget
from mudenet.model.mudenet import MuDeNet, NETWORKS
from mudenet.model.networks import PatchDescriptorNetwork
from mudenet.model.score import anomaly_maps, image_scores, normalization_range

IMAGES = torch.randint(0, 256, (6,3,64,64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
NETWORK_CASES = [Network(8, 4), Network(8, 4, block='pre-activation'), Network(8, 4, block='relu-before-addition'),
                 Network(8, 4, stem_pool='max', projection='bn-relu', decoder_relu=True)]
SCORE_CASES = [Score(), Score(clamp=False), Score(interpolation='bicubic'), Score(smooth_first=True), Score(sigma=0.),
               Score(structural_levels='last'), Score(normalize_by='position'), Score(backbone_branch=True)]


def settled(network, backbone=None):
    "A model whose BatchNorms have seen something."
    model = MuDeNet(network, 64, backbone=backbone).requires_grad_(False)
    model.train()(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    return model.eval()


@pytest.mark.parametrize('block, left', [('post-activation', 0), ('pre-activation', 5)])
def test_folding_leaves_only_the_norms_that_follow_no_convolution(block, left):
    "In a pre-activation network each block's first BatchNorm has no convolution before it."
    model = settled(Network(8, 4, block=block, stem_norm=True, projection='bn', autoencoder_norm=True))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for net in (getattr(model, name) for name in NETWORKS):
        folded = fold_norms(net)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
        assert norms == (left if isinstance(net, PatchDescriptorNetwork) else 0)
        for a, b in zip(net(x), folded(x)): assert (a - b).abs().max() < 1e-4


@pytest.mark.parametrize('network', NETWORK_CASES)
def test_the_graph_gives_the_maps_of_every_network_and_scoring(network):
    plain, third = settled(network), settled(network, FeatureTarget('efficientnet_lite0', 4, 0))
    for score in SCORE_CASES:
        model = third if score.backbone_branch else plain
        distances = model.distance_maps(IMAGES, Compute())
        range_ = normalization_range(distances[:2], score)
        expected = anomaly_maps(distances, range_, score, 64)
        maps, scores = Detector(model, range_, score, 64)(IMAGES)
        near = 1e-4*max(1, expected.max())
        assert (maps - expected).abs().max() < near, score
        assert (scores - image_scores(expected)).abs().max() < near, score
