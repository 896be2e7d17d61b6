"Parts trained together and apart have the same bits, and each option reaches the parts that it should."
import pytest, torch
from mudenet.core.config import apply_delta
from mudenet.core.errors import UserError
from mudenet.model.mudenet import PARTS, MuDeNet
from mudenet.training.students import parts_to_train, student_losses, train_students
from tiny import IMAGES, JITTERED, same


def trained(parts=PARTS, **options):
    "A model whose parts were trained on the tiny images."
    config = apply_delta(JITTERED, {'train': options})
    model = MuDeNet(config.network, 64, seed=42)
    train_students(model, IMAGES, config, 42, parts=parts)
    return model


def alike(one, two):
    "The parts that have the same bits in two models."
    return [p for p in PARTS if same(getattr(one, p), getattr(two, p))]


@pytest.fixture(scope='module')
def joint(): return trained()


@pytest.mark.parametrize('detach', [True, False])
def test_the_second_students_term_reaches_the_autoencoder_only_where_it_is_not_detached(detach):
    model = MuDeNet(JITTERED.network, 64, seed=1)
    student_losses(model, torch.rand(2, 3, 64, 64), detach=detach)['loss_student2'].backward()
    gradients = [p.grad for p in model.autoencoder.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in gradients) != detach
    assert all(p.grad is None for p in model.student1.parameters())


@pytest.mark.parametrize('parts', [('student1',), ('autoencoder',), ('autoencoder', 'student2')])
def test_parts_trained_apart_have_the_bits_of_those_trained_together(parts, joint):
    assert alike(joint, trained(parts)) == list(parts)


def test_the_two_students_learn_different_things(joint): assert not same(joint.student1, joint.student2)


def test_separate_optimizers_change_no_bit(joint):
    assert alike(joint, trained(separate_optimizers=True)) == list(PARTS)


@pytest.mark.parametrize('part, unchanged', [
    ('student1', ['autoencoder', 'student2']), ('autoencoder', ['student1']),
    ('student2', ['student1', 'autoencoder'])])
def test_the_weight_of_a_term_changes_its_own_network_and_what_follows_it(part, unchanged, joint):
    assert alike(joint, trained(**{f'{part}_weight': 3})) == unchanged


def test_without_the_detachment_the_autoencoder_is_another_network(joint):
    pulled, alone = trained(detach=False), trained(('autoencoder',))
    assert alike(joint, pulled) == ['student1'] and not same(pulled.autoencoder, alone.autoencoder)


OPTIONS = dict(reduction='mean', weight_decay=1e-2, grad_clip=.1, warmup=.5, lr_schedule='constant', lr=1e-2,
               lr_min=1e-4, batch_size=3, epochs=3)


@pytest.mark.parametrize('name', OPTIONS)
def test_every_option_of_the_training_changes_every_part(name, joint):
    assert alike(joint, trained(**{name: OPTIONS[name]})) == []


def test_the_second_student_is_not_trained_without_the_autoencoder():
    with pytest.raises(UserError, match="train the parts 'autoencoder' and 'student2' together"): trained(('student2',))


@pytest.mark.parametrize('missing, detach, train', [
    (['student1'], True, ['student1']), (['student2'], True, ['autoencoder', 'student2']),
    (['student1', 'autoencoder'], True, ['student1', 'autoencoder']),
    (['autoencoder'], False, ['autoencoder', 'student2']), (['student1'], False, ['student1'])])
def test_what_is_missing_is_trained_with_what_it_needs(missing, detach, train):
    assert parts_to_train(missing, detach) == tuple(train)
