"A run that held no images out gets its threshold from good pictures, or from the user."
import numpy as np
import pytest
from PIL import Image
from mudenet.core.errors import UserError
from mudenet.deploy.export import export
from mudenet.deploy.scorer import Scorer
from mudenet.deploy.threshold import describe_threshold
from mudenet.study.execute import execute, load_images
from mudenet.study.run import plan_run, Run


@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    "A run by the log's protocol, and a folder with its nominal test images."
    job = plan_run(Run('e5.4', budget='smoke', runs_dir=str(tmp_path_factory.mktemp('runs'))))
    ds, folder = load_images(job), tmp_path_factory.mktemp('good')
    execute(job, ds)
    for i in np.flatnonzero(~ds.labels): Image.fromarray(ds.test[i].permute(1,2,0).numpy()).save(folder/f'{i}.png')
    return job, folder


def test_such_a_run_asks_for_good_pictures_or_a_threshold(seen, tmp_path):
    with pytest.raises(UserError, match='held no images out.*--calibrate FOLDER.*--threshold X'):
        export(seen[0].folder, tmp_path/'run.onnx')
    assert not list(tmp_path.iterdir())


def test_good_pictures_set_the_threshold(seen, tmp_path):
    job, good = seen
    facts = export(job.folder, tmp_path/'run.onnx', fpr=.05, calibrate=good)
    scorer = Scorer(tmp_path/'run.onnx')
    scores = scorer(np.stack([scorer.read(p) for p in sorted(good.iterdir())]))[1]
    assert facts['held_out'] == len(scores) == 6
    assert scorer.threshold == pytest.approx(scores.max(), abs=1e-4)       # six images promise 1/7 at best


def test_a_threshold_of_the_users_own_promises_nothing(seen, tmp_path):
    facts = export(seen[0].folder, tmp_path/'run.onnx', threshold=1.25)
    assert Scorer(tmp_path/'run.onnx').threshold == 1.25 and facts['fpr'] is None
    assert 'as given' in describe_threshold(facts)


def test_an_empty_folder_is_refused(seen, tmp_path):
    (tmp_path/'none').mkdir()
    with pytest.raises(UserError, match='holds no pictures'):
        export(seen[0].folder, tmp_path/'run.onnx', calibrate=tmp_path/'none')
    with pytest.raises(UserError, match='missing does not exist'):
        export(seen[0].folder, tmp_path/'run.onnx', calibrate=tmp_path/'missing')
