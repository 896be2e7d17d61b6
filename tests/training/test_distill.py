"The same seed gives the same teacher, and every option of the distillation gives another one."
import pytest
from mudenet.core.config import apply_delta
from mudenet.model.backbone import feature_target
from mudenet.model.mudenet import MuDeNet
from mudenet.training.distill import distill_teacher
from tiny import IMAGES, PLAIN, same


def distilled(seed=42, **options):
    "A teacher trained on the tiny images."
    config = apply_delta(PLAIN, {'distill': options})
    model = MuDeNet(config.network, 64, seed=seed)
    distill_teacher(model, feature_target(config, seed), IMAGES, config, seed)
    return model.teacher


@pytest.fixture(scope='module')
def teacher(): return distilled()


def test_a_seed_decides_every_bit_of_the_teacher(teacher):
    assert same(teacher, distilled()) and not same(teacher, distilled(seed=7))
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())


OPTIONS = dict(zscore='global', resolution='backbone', upsampling='nearest', strides='8-16', reduction='mean',
               weight_decay=1e-2, grad_clip=.1, warmup=.5, lr_schedule='cosine', lr=1e-2, batch_size=3, epochs=2)


@pytest.mark.parametrize('name', OPTIONS)
def test_every_option_gives_another_teacher(name, teacher):
    assert not same(teacher, distilled(**{name: OPTIONS[name]}))


def test_the_smallest_rate_counts_where_the_rate_falls():
    one, two = (distilled(lr_schedule='cosine', lr_min=lr_min) for lr_min in (1e-5, 1e-4))
    assert not same(one, two)
