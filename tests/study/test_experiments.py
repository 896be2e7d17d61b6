"What an experiment's front matter may not say, and which sentence the author then reads."
import pytest, yaml
from mudenet.core.errors import UserError
from mudenet.study.experiments import ancestry, config_of, load_experiments


@pytest.fixture
def write(tmp_path):
    "A function that writes <id>.qmd; there is a root already."
    def page(name, **front):
        (tmp_path/f'{name}.qmd').write_text(f'---\n{yaml.safe_dump(dict(id=name) | front)}---\nprose')
    page('root')
    return page


def test_a_child_inherits_the_changes_of_its_ancestors(write, tmp_path):
    rule = dict(metric='aupro', gain=.01)
    write('child', parent='root', title='CHILD', change={'score': {'sigma': 2.}}, decision=rule)
    write('grandchild', parent='child', change={'train.epochs': 3})
    log = load_experiments(tmp_path)
    assert [e.id for e in ancestry('grandchild', log)] == ['root', 'child', 'grandchild']
    assert [log[id].title for id in ('root', 'child')] == ['root', 'CHILD']     # without a title, the id
    config = config_of('grandchild', 'cpu', log, 'HVR')
    assert (config.score.sigma, config.train.epochs, config.augment.rotation) == (2., 3, 90.)
    assert config.data.image_size == 128                                              # the budget's


REFUSED = [
    (dict(parent='root', change={'score': {'sigma': 4.}}), "{'score': {'sigma': 4.0}} changes nothing"),
    (dict(parent='roof'), "odd.qmd: its parent 'roof' does not exist; there are: odd, root"),
    (dict(parent='odd'), 'lead back to itself'),
    (dict(change={'score': {'sigmas': 4.}}), "odd.qmd: Field 'score.sigmas' does not exist"),
    (dict(change='sigma'), "odd.qmd: change is 'sigma'"),
    (dict(statsu='kept'), "odd.qmd: Front matter 'statsu' does not exist; did you mean 'status'?"),
    (dict(status='good'), "odd.qmd: status 'good'"),
    (dict(protocol='ful'), "odd.qmd: protocol 'ful' does not exist; did you mean 'full'?"),
    (dict(decision={'metric': 'pro', 'gain': .1}), 'odd.qmd: decision.metric'),
    (dict(decision={'metric': 'aupro', 'gain': '1e-2'}), "decision.gain is '1e-2'"),
    (dict(decision={'metric': 'aupro', 'gain': 1.}), 'decision.gain is 1.0'),
    (dict(decision={'metric': 'aupro'}), "decision has the fields ['metric']; it takes metric and gain"),
    (dict(claim='rises'), "claim is 'rises'"),
    (dict(claim={'aupro': 'grows'}), "claim.aupro 'grows'"),
    (dict(claim={'pro': 'rises'}), "claim 'pro'"),
    (dict(claim={'aupro': 'stays'}), 'not within what'),
    (dict(tried_on='pill'), "tried_on is 'pill'; it must be a list"),
    (dict(stays_within=.01), 'no metric of the claim stays'),
    (dict(stays_within='1 pp', claim=dict(aupro='stays')), "stays_within is '1 pp'"),
    (dict(reported=dict(seeds=[1, 2], aupro=[1.], source='s')), 'reported.aupro has another length'),
    (dict(reported=dict(seeds=[1], aupro=[1.])), 'reported names no source'),
    (dict(reported=dict(aupro=[1.], source='s')), 'reported names no seeds'),
    (dict(reported=dict(seeds=42, source='s')), 'reported.seeds is 42'),
    (dict(reported=dict(seeds=[1], pro=[1.], source='s')), "reported 'pro'"),
    (dict(id='even'), "odd.qmd: the id is 'even'; it must be the file's name, 'odd'")]


@pytest.mark.parametrize('front, says', REFUSED, ids=[says for _, says in REFUSED])
def test_a_front_matter_that_cannot_be_meant_is_refused_by_its_file(front, says, write, tmp_path):
    write('odd', **front)
    with pytest.raises(UserError) as refused: load_experiments(tmp_path)
    assert says in str(refused.value) and 'odd.qmd' in str(refused.value)


def test_a_longer_cycle_of_parents_is_refused(write, tmp_path):
    write('a', parent='b', change={'score.sigma': 2.})
    write('b', parent='a', change={'score.sigma': 3.})
    with pytest.raises(UserError, match='lead back to itself; break the cycle'): load_experiments(tmp_path)


def test_a_front_matter_that_is_no_yaml_is_named(tmp_path):
    (tmp_path/'half.qmd').write_text('---\nid: [half\n---\n')
    with pytest.raises(UserError, match='half.qmd: the front matter is not YAML'): load_experiments(tmp_path)


@pytest.mark.parametrize('text', ['prose alone', '---\ntitle: A page\n---\nprose', '---\n- a list\n---\n'])
def test_a_page_without_an_id_is_no_experiment(text, write, tmp_path):
    (tmp_path/'page.qmd').write_text(text)
    assert list(load_experiments(tmp_path)) == ['root']
