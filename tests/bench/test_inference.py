"What eight bits cost is nothing where they are thirty-two; a run's images are found again, or refused."
import pytest
from mudenet.bench import inference
from mudenet.core.errors import UserError
from mudenet.deploy.export import open_run
from mudenet.study.execute import execute, load_images
from mudenet.study.run import Run, plan_run


@pytest.mark.parametrize('normalize_on', ['holdout', 'train'])
def test_eight_bits_cost_nothing_where_they_are_thirty_two(normalize_on, tmp_path, monkeypatch):
    monkeypatch.setattr(inference, 'EIGHT_BITS', {'none': lambda graph, images: inference.onnx_runtime(graph)})
    job = plan_run(Run(budget='smoke', runs_dir=tmp_path, overrides={'score.normalize_on': normalize_on}))
    execute(job, load_images(job))
    rows = list(inference.eight_bit_rows(job.folder, None))
    assert len(rows) == 3 and all(r.ratio == pytest.approx(1, abs=1e-4) for r in rows)

    run = open_run(job.folder)
    run.record.dataset['fingerprint'] = 'of other images'
    with pytest.raises(UserError, match='are not those of the run'): inference.load_run_images(run, None)
    run.record.dataset['name'] = 'mvtec_ad'
    with pytest.raises(UserError, match='as data_root'): inference.load_run_images(run, None)
