"""The CUDA path without a card: fake tensors of the device 'cuda' refuse to meet one of the CPU, and the graph of a
loss names the operations that CUDA would have to differentiate."""
import contextlib
from dataclasses import fields
from typing import get_args, get_origin, Literal
import pytest, torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from mudenet.core.config import apply_delta, Augment, Config
from mudenet.data import augment
from mudenet.data.augment import Augmenter, epoch_batches, epoch_draws, normalize
from mudenet.model import backbone
from mudenet.model.backbone import feature_target, load_backbone
from mudenet.model.memory_bank import bank_maps, patch_features
from mudenet.model.mudenet import MuDeNet, PARTS
from mudenet.model.score import anomaly_maps, normalization_range
from mudenet.training.checkpoint import restore_state, training_state
from mudenet.training.distill import distill_teacher
from mudenet.training.loop import make_optimizers
from mudenet.training.students import train_students

# What `torch.use_deterministic_algorithms` lists as refused on CUDA when it is differentiated.
REFUSED = ('UpsampleLinear', 'UpsampleBilinear', 'UpsampleBicubic', 'UpsampleTrilinear', 'ReflectionPad',
           'ReplicationPad', 'GridSampler', 'AdaptiveAvgPool', 'AdaptiveMaxPool', 'AvgPool3D', 'MaxPool3D',
           'FractionalMaxPool', 'MaxUnpool', 'NllLoss', 'CtcLoss', 'EmbeddingBag', 'Put', 'Median', 'Kthvalue',
           'Cumsum', 'ScatterReduce')
READ, COPIES = 'aten::_local_scalar_dense', ('aten::_to_copy', 'aten::copy_')     # of PyTorch's operations
IMAGES = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
SMALL = apply_delta(Config(), {
    'augment': dict(horizontal_flip=True, vertical_flip=True, rotation=90., color_jitter=.1),
    'data.image_size': 64, 'network': dict(width=8, channels=16, latent=8),
    'distill': dict(epochs=1, batch_size=8, backbone='efficientnet_lite0'), 'train': dict(epochs=1, batch_size=8)})
# Each option stands in one of them at least; what is changed together does not meet.
CHANGES = [
    {'compute.precision': 'bf16', 'network.latent': 4, 'augment': vars(Augment(False, False, 0., 0.))},
    {'compute.precision': 'tf32', 'compute.channels_last': False, 'augment.rotation': 0., 'score.sigma': 0.},
    {'network.stem_pool': 'max', 'network.stem_norm': True, 'score.structural_levels': 'last'},
    {'network.block': 'pre-activation', 'distill.zscore': 'global', 'score.interpolation': 'bicubic'},
    {'network.block': 'relu-before-addition', 'network.projection': 'bn', 'distill.upsampling': 'nearest'},
    {'network.projection': 'bn-relu', 'network.autoencoder_norm': True, 'network.decoder_relu': True},
    {'distill': dict(resolution='backbone', strides='8-16', lr_schedule='cosine', reduction='mean')},
    {'distill': dict(backbone='wide_resnet50_2', weights='imagenet1k_v2'), 'train.detach': False},
    {'train': dict(separate_optimizers=True, grad_clip=1., reduction='mean', lr_schedule='constant')},
    {'distill': dict(grad_clip=1., weight_decay=1e-4), 'train': dict(weight_decay=1e-4, student2_weight=2.)},
    {'score': dict(backbone_branch=True, clamp=True, normalize_by='position', smooth_first=True)},
    {'score.backbone_branch': True, 'compute.precision': 'bf16', 'distill.upsampling': 'nearest'},
]
ELSEWHERE = {'compute.compile', 'data.calibration', 'score.normalize_on'}    # compiles; choose images on the CPU


class Values(TorchDispatchMode):
    "A fake tensor has no value: reading one gives a stand-in."
    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        if f.name() != READ: return f(*args, **(kwargs or {}))
        return {torch.bool: False}.get(args[0].dtype, .5 if args[0].dtype.is_floating_point else 1)


class Transfers(TorchDispatchMode):
    "Lists what crosses between the host and the device, and what waits for a value."
    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        out, tensors = f(*args, **(kwargs or {})), [a for a in args if isinstance(a, torch.Tensor)]
        devices = {t.device.type for t in (*tensors, out) if isinstance(t, torch.Tensor)}
        if f.name() == READ or (f.name() in COPIES and len(devices) > 1): self.found.append(f.name())
        return out


def to(self, device=None, memory_format=None):
    "`nn.Module.to` swaps tensors, which fake ones do not allow."
    for m in self.modules():
        for store in (m._parameters, m._buffers):
            for name, p in store.items():
                if p is None or p.device.type == device: continue
                order = memory_format if memory_format and p.dim() == 4 else torch.preserve_format
                moved = p.detach().to(device, memory_format=order)
                store[name] = nn.Parameter(moved, p.requires_grad) if store is m._parameters else moved
    return self


def zeros(shape):
    "What `Tensor.tolist` gives for zeros of this shape."
    return [zeros(shape[1:]) for _ in range(shape[0])] if shape else .5


@pytest.fixture
def fake(monkeypatch):
    "A context in which the device 'cuda' exists; it gives the names of what was to be differentiated."
    seen, tolist = set(), torch.Tensor.tolist

    def backward(loss):
        "Walk the graph, and give every weight a gradient: autograd's own engine wants a device."
        done, todo = set(), [loss.grad_fn]
        while todo:
            node = todo.pop()
            if node is None or node in done: continue
            done.add(node)
            seen.add(node.name())
            todo += [n for n, _ in node.next_functions]
            if not hasattr(node, 'variable'): continue
            assert node.variable.device.type == 'cuda'
            node.variable.grad = torch.zeros_like(node.variable)

    @contextlib.contextmanager
    def context():
        with monkeypatch.context() as m, FakeTensorMode(allow_non_fake_inputs=True), Values():
            m.setattr(nn.Module, 'to', to)
            m.setattr(torch.Tensor, 'backward', backward)
            m.setattr(torch.Tensor, 'tolist', lambda t: zeros(t.shape) if isinstance(t, FakeTensor) else tolist(t))
            m.setattr('torch.cuda.amp.common.amp_definitely_not_available', lambda: False)
            m.setattr('torch.cuda.is_bf16_supported', lambda *a, **k: True)
            yield seen
    return context


@pytest.fixture
def built(monkeypatch):
    "A function that builds a config's model and target; WideResNet50-2 without weights, which no test has."
    def random_levels(weights): return backbone.resnet_levels(backbone.torchvision.models.wide_resnet50_2())
    wide = backbone.Backbone(str, random_levels, backbone.BACKBONES['wide_resnet50_2'].widths)
    monkeypatch.setitem(backbone.BACKBONES, 'wide_resnet50_2', wide)

    def build(change):
        config = apply_delta(SMALL, change)
        target = feature_target(config, 42)
        own = target if config.score.backbone_branch else None
        return config, MuDeNet(config.network, 64, 42, own), target
    return build


def devices(net):
    return {t.device.type for t in net.state_dict().values()}


def choices():
    "Every field of the config that is a choice, with each value that it may take."
    for group in fields(Config):
        for f in fields(group.type):
            values = get_args(f.type) if get_origin(f.type) is Literal else ()
            if f.type in (bool, bool | None): values = (True, False)
            for value in values: yield f'{group.name}.{f.name}', value


def test_every_choice_of_the_config_is_tried():
    tried = set()
    for change in ({}, *CHANGES):
        for group, values in apply_delta(SMALL, change).to_dict().items():
            tried |= {(f'{group}.{name}', value) for name, value in values.items()}
    assert not {choice for choice in choices() if choice[0] not in ELSEWHERE} - tried


@pytest.mark.parametrize('change', [{}, *CHANGES], ids=lambda c: '-'.join(c) or 'default')
def test_training_and_scoring_stay_on_the_device(change, fake, built):
    config, model, target = built(change)
    with fake() as seen:
        distill_teacher(model, target, IMAGES, config, 42, 'cuda')
        train_students(model, IMAGES, config, 42, 'cuda')
        assert devices(model) == {'cuda'}
        distances = model.distance_maps(IMAGES, config.compute, 'cuda')
        assert distances.device.type == 'cpu'
        assert distances.shape == (8, 2 + config.score.backbone_branch, 3, 32, 32)
        on_device = distances.to('cuda')
        maps = anomaly_maps(on_device, normalization_range(on_device, config.score), config.score, 64)
        assert maps.device.type == 'cuda'
        assert maps.shape == (8, 64, 64)
    assert seen
    assert not [name for name in seen if name.startswith(REFUSED)]


def test_the_memory_bank_stays_on_the_device(fake):
    extract = load_backbone('efficientnet_lite0')
    with fake():
        images, extract = IMAGES.to('cuda'), extract.to('cuda')
        memory = patch_features(extract, images).flatten(0, 2)
        assert bank_maps(extract, memory, images).device.type == 'cuda'


def transfers(model, target, config, batch_size):
    "What crosses between the host and the device while both stages train on four images."
    c = apply_delta(config, {'distill.batch_size': batch_size, 'train.batch_size': batch_size})
    for net in (model, target): net.to('cuda')
    with Transfers() as counted:
        distill_teacher(model, target, IMAGES[:4], c, 42, 'cuda')
        train_students(model, IMAGES[:4], c, 42, 'cuda')
    return counted.found


@pytest.mark.parametrize('change', [
    {}, {'compute.precision': 'bf16'}, {'distill.grad_clip': 1., 'train': dict(grad_clip=1., separate_optimizers=True)},
], ids=lambda c: '-'.join(c) or 'default')
def test_more_steps_send_no_more_to_the_device(change, fake, built):
    config, model, target = built(change)
    with fake():
        found = transfers(model, target, config, 4)
        assert found
        assert transfers(model, target, config, 1) == found


def test_a_training_goes_on_on_the_device(fake, built):
    config, model, _ = built({})
    nets = [getattr(model, p).train() for p in PARTS]
    optimizers = make_optimizers(nets, config.train, separate=True)
    sum(m.square().mean() for n in nets for m in n(torch.randn(2, 3, 64, 64))).backward()
    for o in optimizers: o.step()
    state = {k: v.clone() for k, v in training_state(nets, optimizers).items()}
    with fake():
        for n in nets: n.to('cuda', memory_format=torch.channels_last)
        optimizers = make_optimizers(nets, config.train, separate=True)
        restore_state(state, nets, optimizers)
        moments = {p: s for o in optimizers for p, s in o.state.items()}
        assert {v.device.type for s in moments.values() for v in s.values()} == {'cuda'}
        assert all(s['exp_avg'].stride() == p.stride() for p, s in moments.items())
        sum(m.square().mean() for n in nets for m in n(torch.randn(2, 3, 64, 64, device='cuda'))).backward()
        for o in optimizers: o.step()


def augmented(draws_on='cuda'):
    "A batch that is augmented on the device, by draws that lie where they are asked to."
    augmenter, g = Augmenter(SMALL.augment).to('cuda'), torch.Generator().manual_seed(0)
    batch = epoch_batches(epoch_draws(len(IMAGES), g, draws_on), 4)[0]
    return augmenter(IMAGES[:4].to('cuda'), batch)


def test_draws_left_on_the_cpu_are_found(fake):
    with fake():
        assert augmented().device.type == 'cuda'
        with pytest.raises(RuntimeError, match='same device'): augmented(draws_on='cpu')


@pytest.mark.parametrize('name, planted', [
    ('jitter', lambda x, factors, luma: x*factors.cpu()[:,:1,None,None]),
    ('rotate', lambda x, degrees: x*torch.ones(4, 1, 1, 1))])
def test_a_tensor_left_on_the_cpu_is_found(name, planted, fake, monkeypatch):
    monkeypatch.setattr(augment, name, planted)
    with fake(), pytest.raises(RuntimeError, match='same device'): augmented()


def test_a_transfer_in_every_step_is_found(fake, built, monkeypatch):
    config, model, target = built({})
    monkeypatch.setattr(Augmenter, 'forward', lambda self, images, draws: normalize(images))    # makes its constants
    with fake(): assert len(transfers(model, target, config, 4)) < len(transfers(model, target, config, 2))


def test_an_operation_that_cuda_refuses_is_found(fake):
    with fake() as seen:
        weight = torch.ones(1, 1, 4, 4, device='cuda', requires_grad=True)
        nn.functional.interpolate(weight, size=8, mode='bilinear').sum().backward()
    assert [name for name in seen if name.startswith(REFUSED)]
