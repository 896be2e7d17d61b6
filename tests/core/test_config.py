"Which configurations are refused, what a delta changes, and what a hash tells apart."
import json, math
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_origin
import pytest
from mudenet.core.config import (BUDGETS, Augment, Config, Score, Train, apply_delta, canonical_hash, check_config,
                                 check_seed, derive_seed, nested, resolve_augment, resolve_budget)
from mudenet.core.errors import UserError
from mudenet.core.fields import ranged, typed

ALL = [(g.name, f) for g in fields(Config) for f in fields(g.type)]


# what a field may hold

@pytest.mark.parametrize('name, value, says', [
    ('data.image_size', 100, 'a multiple of 32'), ('data.image_size', 32, 'at least 64'),
    ('data.holdout', 0, 'larger than 0 and smaller than 1'), ('data.holdout', 1, 'smaller than 1'),
    ('augment.rotation', 181, 'at most 180, or none'), ('augment.rotation', -1, 'at least 0'),
    ('augment.color_jitter', 1, 'smaller than 1, or none'),
    ('network.width', 0, 'at least 1'), ('network.channels', 0, 'at least 1'), ('network.latent', 0, 'at least 1'),
    ('distill.epochs', 0, 'at least 1'), ('train.batch_size', 0, 'at least 1'),
    ('train.lr', 0, 'larger than 0'), ('train.lr', 2, 'smaller than 1'), ('train.lr', 'nan', 'larger than 0'),
    ('train.weight_decay', -1, 'at least 0'), ('distill.grad_clip', 'inf', 'smaller than inf'),
    ('train.warmup', 1, 'smaller than 1'), ('train.lr_min', -1, 'at least 0'),
    ('train.student1_weight', 0, 'larger than 0'), ('train.student2_weight', 'inf', 'smaller than inf'),
    ('metric.num_thresholds', 1, 'at least 2, or none'), ('score.sigma', 64, 'smaller than 64'),
    ('score.sigma', 'nan', 'at least 0')])
def test_a_number_outside_its_bounds_is_refused_by_its_full_name(name, value, says):
    with pytest.raises(UserError, match=f'^{name} is .*; it must be .*{says}'): apply_delta(Config(), {name: value})


@pytest.mark.parametrize('name', [f'{g}.{f.name}' for g, f in ALL if get_origin(f.type) is Literal])
def test_a_value_that_is_no_choice_gets_the_nearest_one(name):
    group, _, key = name.partition('.')
    known = get_args(next(f.type for g, f in ALL if (g, f.name) == (group, key)))
    with pytest.raises(UserError, match=f"{name} '{known[-1]}x' does not exist; did you mean '{known[-1]}'"):
        apply_delta(Config(), {name: known[-1] + 'x'})
    for value in known: assert getattr(getattr(apply_delta(Config(), {name: value}), group), key) == value


@pytest.mark.parametrize('delta, says', [
    ({'train.lr': 1e-4, 'train.lr_min': 1e-3}, 'train.lr_min is 0.001; it must be at most train.lr'),
    ({'score.backbone_branch': True, 'distill.zscore': 'global'}, 'image by image'),
    ({'score.backbone_branch': True, 'distill.resolution': 'backbone'}, "distill.resolution 'network'")])
def test_values_that_cannot_work_together_are_refused(delta, says):
    with pytest.raises(UserError, match=says): apply_delta(Config(), delta)


def test_every_number_has_bounds_and_every_default_satisfies_them():
    numbers = [f for _, f in ALL if f.type in (int, float, int|None, float|None)]
    assert len(numbers) > 20 and all(set(f.metadata) - {'absent'} for f in numbers)
    assert check_config(Config()) == Config()


# kinds

@pytest.mark.parametrize('kind, given, taken', [
    (int, '5', 5), (int, 4., 4), (float, '1e-5', 1e-5), (float, 4, 4.), (bool, 'True', True), (bool, False, False),
    (str, 'x', 'x'), (int|None, 'None', None), (float|None, None, None), (float|None, '2', 2.),
    ('bool', 'false', False)])
def test_a_value_is_taken_as_the_kind_that_it_plainly_is(kind, given, taken):
    assert typed('x', given, kind) == taken and type(typed('x', given, kind)) is type(taken)


@pytest.mark.parametrize('kind, given, says', [
    (int, 4.2, 'a whole number'), (int, True, 'a whole number'), (int, 'inf', 'a whole number'),
    (int, 'nan', 'a whole number'), (int, None, 'a whole number'),
    (float, 'x', 'a number'),
    (float, False, 'a number'), (float, None, 'a number'),
    (bool, 1, 'true or false'), (bool, 'yes', 'true or false'),
    (str, 5, 'text'), (Literal['a'], 5, 'text')])
def test_a_value_of_another_kind_is_refused(kind, given, says):
    with pytest.raises(UserError, match=f"^Field 'train.x' takes {says}, not {given!r}\\.$"):
        typed('train.x', given, kind)


@pytest.mark.parametrize('given, taken', [('42', 42), (1., 1), (0, 0), (2**31 - 1, 2**31 - 1)])
def test_a_seed_is_a_whole_number(given, taken): assert check_seed(given) == taken


@pytest.mark.parametrize('bad', [4.2, True, 'x', None, -1, 2**31])
def test_a_seed_that_is_none_is_refused(bad):
    with pytest.raises(UserError): check_seed(bad)


# deltas

def test_a_delta_changes_what_it_names_and_no_more():
    child = apply_delta(Config(), {'train.epochs': '5', 'train': {'lr': '1e-4'}})
    assert child == Config(train=replace(Train(), epochs=5, lr=1e-4))
    assert nested({'train.epochs': 5, 'train': {'lr': 1}}) == {'train': {'epochs': 5, 'lr': 1}}


@pytest.mark.parametrize('delta, says', [
    ({'train.epoch': 5}, "did you mean 'train.epochs'"), ({'epochs': 5}, "epochs'"),
    ({'trian': {'epochs': 5}}, "did you mean 'train'"),
    ({'train.epochs': 4.2}, 'a whole number'), ({'train.epochs': True}, 'a whole number'),
    ({'network.block': 'pre-activaton'}, "did you mean 'pre-activation'")])
def test_a_delta_with_a_wrong_name_or_kind_is_refused(delta, says):
    with pytest.raises(UserError, match=says): apply_delta(Config(), delta)


# hashes

@dataclass(frozen=True)
class LaterScore(Score):
    "A group to which a field was added."
    exponent: float = ranged(2., absent=1., gt=0)


@dataclass(frozen=True)
class OtherScore(Score):
    "A group in which a default was changed."
    sigma: float = ranged(3., ge=0)


def test_a_new_field_changes_no_hash_while_it_has_the_value_that_held_before():
    assert Config(score=LaterScore(exponent=1.)).hash() == Config().hash()
    assert Config(score=LaterScore(exponent=1., sigma=2.)).hash() == Config(score=Score(sigma=2.)).hash()


def test_a_new_field_changes_the_hash_at_its_default_and_at_any_other_value():
    hashes = {Config(score=s).hash() for s in (Score(), LaterScore(), LaterScore(exponent=3.))}
    assert len(hashes) == 3


def test_a_changed_default_changes_the_hash():
    assert Config(score=OtherScore()).hash() != Config().hash()
    assert Config(score=OtherScore(sigma=4.)).hash() == Config().hash()


def test_the_hash_is_that_of_the_canonical_json_of_all_fields_but_those_that_hold_what_held_before_them():
    values = Config().to_dict()
    assert values['data'].pop('calibration') == 'held-out'        # as it was before the field existed
    assert values['score'].pop('top') == 0
    text = json.dumps(values, sort_keys=True, separators=(',', ':'))
    assert Config().hash() == canonical_hash(json.loads(text)) and len(Config().hash()) == 12
    assert Config().identity() == values


def test_every_field_changes_the_hash():
    other = {int: 96, float: .5, int|None: 3, float|None: .5, bool|None: True, str: 'other'}
    for group, f in ALL:
        value = not f.default if f.type is bool else other.get(f.type)
        if get_origin(f.type) is Literal: value = next(v for v in get_args(f.type) if v != f.default)
        changed = replace(Config(), **{group: replace(getattr(Config(), group), **{f.name: value})})
        assert changed.hash() != Config().hash(), f.name


def test_a_configuration_cannot_be_altered():
    with pytest.raises(AttributeError): Config().score = None
    with pytest.raises(AttributeError): Config().score.sigma = 1.


def test_nan_has_no_hash():
    with pytest.raises(ValueError): canonical_hash({'x': math.nan})


# budgets, seeds, augmentation

def test_a_budget_never_holds_what_an_experiment_varies():
    allowed = {'data.image_size', 'network.width', 'network.channels', 'distill.backbone', 'compute.channels_last',
               *(f'{g}.{k}' for g in ('distill', 'train') for k in ('epochs', 'batch_size', 'lr'))}
    for delta in BUDGETS.values(): assert {f'{g}.{k}' for g, v in delta.items() for k in v} <= allowed


def test_the_budgets_differ_and_auto_is_one_of_them():
    assert len({apply_delta(Config(), delta).hash() for delta in BUDGETS.values()}) == len(BUDGETS)
    assert (resolve_budget('auto', False), resolve_budget('auto', True)) == ('cpu', 'screening')
    with pytest.raises(UserError, match="'screening'"): resolve_budget('screning', False)


def test_every_stream_has_a_seed_of_its_own():
    assert len({derive_seed(s, n, e) for s in (7, 42) for n in ('distill', 'train') for e in range(9)}) == 36


@pytest.mark.parametrize('own, row, resolved', [
    (Augment(), 'HC', Augment(True, False, 0., .1)), (Augment(), 'HVR', Augment(True, True, 90., 0.)),
    (Augment(vertical_flip=True, color_jitter=0.), 'HC', Augment(True, True, 0., 0.))])
def test_an_experiment_comes_before_the_row_of_its_category(own, row, resolved):
    assert resolve_augment(own, row) == resolved


def test_a_seed_of_the_data_is_refused_by_its_own_name():
    with pytest.raises(UserError, match='The data_seed is -1'): check_seed(-1, 'data_seed')
    with pytest.raises(UserError, match="'data_seed' takes a whole number"): check_seed(1.5, 'data_seed')
