"The check of a card, on the CPU with tiny networks: bits repeat, faults show, and a part that fails stops no other."
import functools
from dataclasses import replace
import pytest, torch
from mudenet import __main__ as command
from mudenet.bench import gpu_check as checks
from mudenet.bench.gpu_check import bits, Finding, gpu_check, make_card, side_by_side, speed, STAGES, whole_run
from mudenet.bench.training import step_flop
from mudenet.core.errors import UserError
from mudenet.data.cable import generate_cable
from mudenet.model.networks import count_macs
from mudenet.study.run import FEW_CABLES
from torch.utils.flop_counter import FlopCounterMode

TINY = {'data.image_size': 64, 'network': dict(width=8, channels=8, latent=8), 'distill.epochs': 2, 'train.epochs': 2}


@pytest.fixture(scope='module')
def card():
    lite = checks.BACKBONES['efficientnet_lite0']
    with pytest.MonkeyPatch.context() as m:
        m.setattr(checks, 'generate_cable', lambda size: generate_cable(size, **FEW_CABLES))
        m.setitem(checks.BACKBONES, 'efficientnet_lite0', replace(lite, build=functools.cache(lite.build)))
        card = make_card('cpu', 'efficientnet_lite0', TINY)
        card.seconds = .1
        yield card


def values(findings):
    "The findings of a part by name and unit."
    return {(f.what, f.unit): f.value for f in findings}


def test_bits_repeat_over_a_kill(card):
    found = list(bits(card, 'fp32'))
    assert [f.value for f in found] == [True, True]


def test_bits_that_differ_are_found(card, monkeypatch):
    honest, calls = checks.train_stage, []

    def careless(card, stage, model, images, *rest):
        "The second run sees other images."
        calls.append(stage)
        return honest(card, stage, model, images.flip(0) if len(calls) > 2 else images, *rest)
    monkeypatch.setattr(checks, 'train_stage', careless)
    assert [f.good for f in bits(card, 'fp32')] == [False, False]


def test_speed_tells_a_precision_by_its_losses(card):
    plain, half = list(speed(card, 'fp32')), list(speed(card, 'bf16'))
    assert plain[-1].value == 0
    assert 0 < half[-1].value < .05
    assert all(f.value > 0 for f in [*plain[:-1], *half])


def test_the_operations_of_a_step_are_those_of_its_convolutions(card):
    config, images = card.config, card.images.train[:8]
    once = {'distill.epochs': 1, 'train.epochs': 1}
    with FlopCounterMode(display=False) as counter: checks.train_stage(card, STAGES[1], card.model(), images, once)
    assert counter.get_total_flops() == step_flop(card.model().eval(), 64, 8)
    with FlopCounterMode(display=False) as counter: checks.train_stage(card, STAGES[0], card.model(), images, once)
    backbone = count_macs(checks.feature_target(config, 0), 64)
    teacher = 3*count_macs(card.model().teacher.eval(), 64) - 8*3*49*64*64
    assert counter.get_total_flops() == 2*8*(backbone + teacher)


def test_a_whole_run_tells_its_memory_and_what_is_not_training(card):
    found = values(whole_run(card))
    assert found['peak memory, process', 'MiB'] > 100
    assert 0 < card.outside == found['a run beside its training', 's']


def test_processes_train_side_by_side(card):
    found = values(side_by_side(card, ('fp32',), (1, 2)))
    assert len(found) == 4
    hour = found['fp32, 1 at once: 100 + 100 epochs', 'runs an hour, extrapolated']
    step = found['fp32, 1 at once: a step of each stage', 'ms']/1000
    assert hour == pytest.approx(3600/(100*3*step + card.outside))


def test_a_part_that_fails_or_is_late_stops_no_other(card, capsys):
    def broken(card): raise RuntimeError('out of\nmemory')
    parts = [('broken', broken), ('whole', lambda card: [Finding('bits', True)])]
    rows = gpu_check(card, parts)['rows']
    assert [(r['what'], r['good']) for r in rows] == [('failed, RuntimeError: out of memory', False), ('bits', True)]
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert gpu_check(card, parts, seconds=0)['rows'][0]['what'] == 'left out, the time is over'


def test_random_weights_stand_in_for_wide_resnet_alone(monkeypatch, tmp_path):
    monkeypatch.setenv('MUDENET_WEIGHTS', str(tmp_path))
    name = checks.usable_backbone('wide_resnet50_2')
    assert name == checks.RANDOM
    one, other = (checks.BACKBONES[name].build('').state_dict() for _ in range(2))
    assert all(map(torch.equal, one.values(), other.values()))
    with pytest.raises(UserError, match='alexnet'): checks.usable_backbone('alexnet')


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a card')
def test_without_a_card_there_is_one_sentence(capsys):
    assert command.main(['gpu-check']) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_the_command_writes_what_it_found(card, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(checks, 'make_card', lambda device, backbone: card)
    failing = functools.partial(gpu_check, parts=[('a part', lambda card: [Finding('bits', False, good=False)])])
    monkeypatch.setattr(checks, 'gpu_check', failing)
    monkeypatch.setattr(checks, 'FILE', tmp_path/'gpu-check.json')
    assert command.main(['gpu-check', '--write']) == 1
    assert (tmp_path/'gpu-check.json').exists()
    assert '1 of 1' in capsys.readouterr().out
