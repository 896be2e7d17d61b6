"The smallest training: eight random images of 64 pixels, networks of eight channels."
import torch
from mudenet.core.config import Augment, Config, apply_delta

IMAGES = torch.randint(0, 256, (8, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
TINY = apply_delta(Config(), {
    'data.image_size': 64, 'network': {'width': 8, 'channels': 8}, 'train': {'epochs': 2, 'batch_size': 4},
    'distill': {'epochs': 3, 'batch_size': 4, 'backbone': 'efficientnet_lite0'}})
PLAIN, JITTERED = (apply_delta(TINY, {'augment': vars(Augment(True, False, 0., c))}) for c in (0., .1))


def same(one, two):
    "Whether two networks have the same bits."
    return all(torch.equal(p, q) for p, q in zip(one.state_dict().values(), two.state_dict().values()))
