"A study: its jobs, its plan, and through Snakemake: killed and resumed, with a failing run, on a real one-node Slurm."
import contextlib, json, os, re, shutil, signal, socket, subprocess, sys, time
import numpy as np, pytest, torch
from conftest import ROOT
from layouts import make_folder, picture
from mudenet.core.errors import UserError
from mudenet.core.machine import resolve_device
from mudenet.data.dataset import load_dataset
from mudenet.study import sweep as sweep_module
from mudenet.study.execute import load_images
from mudenet.study.records import Record
from mudenet.study.run import Run
from mudenet.study.sweep import plan, run_together, study_jobs

EXPERIMENTS = 'baseline,exp1,exp2'


@pytest.fixture
def runs(tmp_path): return tmp_path/'runs'


def jobs(runs, experiments=EXPERIMENTS, seeds='42', categories='', **shared):
    "A study's jobs, by default those that `command` types."
    run = Run(runs_dir=str(runs), **{'budget': 'smoke', 'device': resolve_device('auto')} | shared)
    return study_jobs(run, experiments, seeds, categories)


# Jobs and plan

def test_a_parent_comes_before_its_children(runs):
    found = jobs(runs, 'exp1,baseline,exp2', '42,7')
    assert [(j.experiment, j.seed) for j in found] == [
        ('baseline', 42), ('baseline', 7), ('exp1', 42), ('exp1', 7), ('exp2', 42), ('exp2', 7)]


@pytest.mark.parametrize('given, says', [
    (dict(experiments='exp99'), 'exp99'), (dict(seeds='42,x'), 'whole number'),
    (dict(categories='cable,cabel'), 'cabel'), (dict(data_root='/nowhere'), '/nowhere does not exist'),
    (dict(budget='smoek'), "did you mean 'smoke'?")])
def test_a_wrong_study_is_refused_before_any_run(given, says, runs):
    with pytest.raises(UserError, match=says): jobs(runs, **given)


def write_record(job, fingerprint='', **changes):
    "A finished run's record, with what a plan reads of it; by default on the images that are there."
    facts = dict(experiment=job.experiment, seed=job.seed, budget=job.budget, config=job.config.to_dict(),
                 config_hash=job.config.hash(), environment=dict(device=job.device, device_name=''), metrics={},
                 images=[],
                 dataset=dict(name='', benchmark='', category='', fingerprint=fingerprint or job.fingerprint()),
                 durations=dict(teacher=100., student1=50., autoencoder=50., student2=100.), peak_memory={})
    Record(**facts | changes).write(job.record_path)


def test_a_plan_counts_each_stage_once_and_estimates_by_finished_runs(runs):
    found = jobs(runs, budget='screening', device='cpu')
    before = plan(found)
    assert [row['epochs'] for row in before['jobs']] == [200, 0, 100]         # exp1 trains nothing, exp2 stage 2
    assert (before['runs'], before['to_run'], before['epochs'], before['naive_epochs'], before['seconds']) == (
        3, 3, 300, 600, None)
    write_record(found[0])
    after = plan(found)
    assert (after['to_run'], after['epochs'], after['naive_epochs'], after['seconds']) == (2, 100, 400, 200.)
    assert after['jobs'][0]['finished'] and after['jobs'][0]['stages'] == []
    json.dumps(after)


def test_runs_of_another_study_spare_their_stages(runs):
    found = jobs(runs, budget='screening', device='cpu')
    write_record(found[0])
    assert [plan(found[2:], others)['epochs'] for others in ([], found)] == [200, 100]      # the teacher is there


def test_a_record_of_another_config_finishes_no_run(runs):
    found = jobs(runs, budget='screening', device='cpu')
    for job in found: write_record(job)
    write_record(found[2], config_hash='of another file')
    assert plan(found)['to_run'] == 1


@pytest.mark.parametrize('change', [
    dict(GENERATOR='cable-of-old'), dict(DEFECTS=dict(missing_cable=3))], ids=['another generator', 'other numbers'])
def test_a_run_on_images_that_are_painted_otherwise_today_is_to_be_run(change, runs, monkeypatch):
    found = jobs(runs, budget='screening', device='cpu')
    with monkeypatch.context() as m:
        for name, value in change.items(): m.setattr(f'mudenet.data.cable.{name}', value)
        for job in found: write_record(job)
        assert plan(found)['to_run'] == 0
    assert plan(found)['to_run'] == 3


@pytest.mark.parametrize('budget, size, seed', [('smoke', 64, 0), ('cpu', 96, 3)])
def test_generated_images_are_known_without_being_painted(budget, size, seed, runs, monkeypatch):
    monkeypatch.setattr('mudenet.data.cable._image', lambda kind, size, rng: (
        np.zeros((3, size, size), np.uint8), np.zeros((size, size), bool)))     # what is painted does not count
    job, = jobs(runs, 'baseline', budget=budget, device='cpu', data_seed=seed, overrides={'data.image_size': size})
    assert load_images(job).fingerprint() == job.fingerprint()


# Finished, of these images

@pytest.fixture
def study(tmp_path):
    "A job on pictures of one's own, with a record of their fingerprint; a function that makes such jobs anew."
    make_folder(tmp_path/'pics')
    def again(**shared): return jobs(tmp_path/'runs', 'retained', data_root=str(tmp_path/'pics'), device='cpu',
                                     **shared)
    job, = again()
    data = load_dataset(job.source, job.config.data.image_size).fingerprint()
    write_record(job, data, peak_memory=dict(process=2**28))
    return job, again


def to_run(found): return plan(found)['to_run']


def test_a_run_is_finished_only_on_the_images_that_are_there(study, monkeypatch):
    job, again = study
    assert to_run(again()) == 0
    with monkeypatch.context() as m:
        m.setattr('mudenet.data.dataset.load_dataset', None)           # names, sizes and times are enough now
        assert to_run(again()) == 0
    more = job.source.root/job.source.category/'good'/'more.png'
    picture(more)
    assert to_run(again()) == 1
    more.unlink()
    assert to_run(again()) == 0


def test_another_folder_of_the_same_name_is_to_be_run(study, tmp_path):
    shutil.rmtree(tmp_path/'pics')
    make_folder(tmp_path/'pics')                                       # other random pictures under the same names
    assert to_run(study[1]()) == 1


def test_files_that_were_touched_or_copied_are_the_same_images(study, tmp_path):
    shutil.copytree(tmp_path/'pics', tmp_path/'copy')
    shutil.rmtree(tmp_path/'pics')
    (tmp_path/'copy').rename(tmp_path/'pics')
    for p in (tmp_path/'pics').rglob('*.bmp'): p.touch()
    assert to_run(study[1]()) == 0


def test_a_plan_after_a_run_decodes_nothing(study, tmp_path, monkeypatch):
    job, again = study
    shutil.rmtree(job.runs_dir/'fingerprints', ignore_errors=True)
    load_images(job)
    monkeypatch.setattr('mudenet.data.dataset.load_dataset', None)
    assert to_run(again()) == 0


def test_images_that_cannot_be_read_are_to_be_run(study, tmp_path):
    next((tmp_path/'pics').rglob('*.bmp')).write_bytes(b'xx')
    assert to_run(study[1]()) == 1


def test_several_begins_what_is_not_finished_on_these_images(study, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(sweep_module, 'run_together', lambda commands, *_: begun.extend(commands)
                        or dict.fromkeys(commands, 0))
    run = Run(runs_dir=str(tmp_path/'runs'), budget='smoke', device='cpu', data_root=str(tmp_path/'pics'))
    sweep_module.several(['retained:42'], run, 1, 1.)
    assert begun == []
    picture(tmp_path/'pics'/'nuts'/'good'/'more.png')
    sweep_module.several(['retained:42'], run, 1, 1.)
    assert begun == ['retained-nuts-seed42']


def test_snakemake_does_a_run_again_whose_images_are_others(tmp_path, runs):
    make_folder(tmp_path/'pics')
    job, = jobs(runs, 'retained', data_root=str(tmp_path/'pics'))
    write_record(job, 'of fewer images')
    asked = [*command(runs, '-n'), 'experiments=retained', f"data={tmp_path/'pics'}"]
    done = subprocess.run(asked, cwd=runs.parent, capture_output=True, text=True)
    assert done.returncode == 0 and 'rule run:' in done.stdout + done.stderr, done.stderr


def test_a_name_that_snakemake_would_fill_in_is_refused(tmp_path, runs):
    make_folder(tmp_path/'pics')
    (tmp_path/'pics'/'nuts').rename(tmp_path/'pics'/'nuts{1}')
    asked = [*command(runs, '-n'), 'experiments=retained', f"data={tmp_path/'pics'}"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and 'has a brace in its name' in done.stdout + done.stderr


@pytest.mark.parametrize('categories, names', [
    ('bolts,bolts', ['bolts']), ('"nuts, large",bolts', ['nuts, large', 'bolts']), (r'nuts\, large', ['nuts, large'])])
def test_a_category_is_listed_once_and_may_have_a_comma(categories, names, tmp_path, runs):
    for name in ('bolts', 'nuts, large'):
        make_folder(tmp_path/'made')
        (tmp_path/'data').mkdir(exist_ok=True)
        (tmp_path/'made'/'nuts').rename(tmp_path/'data'/name)
    found = jobs(runs, 'retained', '42,042', categories, data_root=str(tmp_path/'data'))
    assert [j.source.category for j in found] == names
    with pytest.raises(UserError, match='stands in quotes in a list'):
        jobs(runs, 'retained', '42', 'nuts, large', data_root=str(tmp_path/'data'))


def python(code): return [sys.executable, '-c', code]


def test_commands_run_side_by_side_keep_their_status_and_output(tmp_path):
    commands = dict(good=python('print(1)'), bad=python('exit(3)'))
    assert run_together(commands, 2, float('inf'), tmp_path) == dict(good=0, bad=3)
    assert (tmp_path/'good.log').read_text() == '1\n'


def test_when_the_time_is_up_what_runs_is_stopped_and_nothing_more_begins(tmp_path):
    commands = dict(long=python('import time; time.sleep(99)'), never=python(''))
    start = time.monotonic()
    assert run_together(commands, 1, .01, tmp_path) == dict(long=None, never=None)
    assert time.monotonic() - start < 30 and not (tmp_path/'never.log').exists()


# Snakemake

def command(runs, *args, profile='local', budget='smoke', device='auto'):
    "As `make study` types it."
    snakemake = [sys.executable, '-m', 'snakemake', '-s', ROOT/'experiments'/'Snakefile',
                 '--workflow-profile', ROOT/'experiments'/'profiles'/profile, *args]
    config = [f'profile={profile}', f'budget={budget}', f'device={device}', f'experiments={EXPERIMENTS}', 'seeds=42',
              'data=', f'runs_dir={runs}']
    return [*map(str, [*snakemake, '--config', *config])]


def sweep(runs, *args, env=None, **kwargs):
    "Run it to its end, in an empty folder beside the runs."
    return subprocess.run(command(runs, *args, **kwargs), cwd=runs.parent, capture_output=True, text=True, timeout=400,
                          env=env and os.environ | env)


def records(runs): return {j.experiment: Record.read(j.record_path) for j in jobs(runs) if j.record_path.exists()}


def notebook_times(runs):
    "When the notebook of each finished run was written."
    found = records(runs)
    return {j.experiment: (j.folder/'run.ipynb').stat().st_mtime_ns for j in jobs(runs) if j.experiment in found}


@pytest.mark.slow
def test_a_killed_study_goes_on_and_repeats_nothing(runs):
    process = subprocess.Popen(command(runs), cwd=runs.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    deadline = time.time() + 200
    while not records(runs) and time.time() < deadline: time.sleep(.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = notebook_times(runs)
    assert before and len(before) < 3
    done = sweep(runs)
    assert done.returncode == 0, done.stderr
    found, after = records(runs), notebook_times(runs)
    assert len(found) == 3
    assert {e: after[e] for e in before} == before
    assert all('teacher' in r.reused for r in found.values())          # the teacher was a job of its own
    again = sweep(runs)
    assert again.returncode == 0 and 'rule run' not in again.stdout + again.stderr


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_rest_goes_on(runs):
    bad, = (j.folder for j in jobs(runs) if j.experiment == 'exp1')
    (bad/'maps.safetensors').mkdir(parents=True)                       # the run cannot put its file there
    done = sweep(runs)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert set(records(runs)) == {'baseline', 'exp2'}
    assert '1 of 3 runs are not finished' in said and str(bad/'run.ipynb') in said
    assert 'maps.safetensors' in (bad/'run.ipynb').read_text()
    (bad/'maps.safetensors').rmdir()
    assert sweep(runs).returncode == 0 and len(records(runs)) == 3


def test_a_wrong_study_stops_before_any_run(runs):
    wrong = [*command(runs), 'experiments=exp99']
    done = subprocess.run(wrong, cwd=runs.parent, capture_output=True, text=True)
    assert done.returncode == 1 and 'exp99' in done.stderr and not (runs/'exp99').exists()
    assert 'Traceback' not in done.stderr


def test_the_node_that_submits_needs_no_gpu(runs):
    done = sweep(runs, '-n', profile='slurm', budget='screening', device='cuda')
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert len(re.findall(r'output: \S+-screening-cuda/seed42/record.json', said)) == 3, said
    assert said.count('gpu=1') == 4


def test_a_gpu_that_is_not_here_is_refused(runs):
    if torch.cuda.is_available(): pytest.skip('a CUDA device is here')
    done = sweep(runs, '-n', device='cuda')
    assert done.returncode == 1 and 'no CUDA device is here' in done.stdout + done.stderr


@pytest.mark.parametrize('given', [dict(budget='smoke'), dict(budget='auto', device='cpu')])
def test_a_cluster_wants_budget_and_device_named(given, runs):
    done = sweep(runs, '-n', profile='slurm', **given)
    assert done.returncode == 1 and 'Give BUDGET and DEVICE' in done.stdout + done.stderr


def test_a_dry_run_lists_the_jobs_and_does_nothing(runs):
    done = sweep(runs, '-n')
    said = done.stdout + done.stderr
    assert done.returncode == 0 and not list(runs.glob('*/*/*/record.json'))
    assert said.count('rule run:') == 3 and said.count('rule teacher:') == 1


# Slurm

SLURM_CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/finished.txt
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
SLURM_PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch')


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets: s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]


def write_slurm_conf(folder):
    "The files of a cluster of one node on loopback; returns the environment that finds it."
    for d in ('state', 'spool'): (folder/d).mkdir(parents=True)
    folder.chmod(0o755)
    key, conf, srun = folder/'munge.key', folder/'slurm.conf', folder/'bin'/'srun'
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    memory = os.sysconf('SC_PHYS_PAGES')*os.sysconf('SC_PAGE_SIZE')//2**20
    conf.write_text(SLURM_CONF.format(folder=folder, host=socket.gethostname().split('.')[0], ports=free_ports(2),
                                      cpus=os.cpu_count(), memory=memory))
    srun.parent.mkdir()                     # a job step starts without the SLURM_ variables of its job
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    return {'SLURM_CONF': str(conf), 'PATH': f"{srun.parent}:{os.environ['PATH']}"}


def wait_for_slurm(folder, env):
    "Return when the node is idle."
    for _ in range(60):
        up = subprocess.run(['sinfo', '-h', '-o', '%T'], env=env, capture_output=True, text=True)
        if up.stdout.strip() == 'idle': return
        time.sleep(.5)
    pytest.fail(f'Slurm did not start: {up.stderr}{(folder/"slurmctld.log").read_text()[-2000:]}')


@pytest.fixture
def slurm(tmp_path):
    "A cluster of one node on loopback, with its own key; the environment that finds it, and the list of finished jobs."
    missing = [p for p in SLURM_PROGRAMS if not shutil.which(p)]
    if missing: pytest.skip(f"{', '.join(missing)} not installed (Debian: slurmctld slurmd slurm-client munge)")
    if os.geteuid(): pytest.skip('slurmd needs root')
    folder = tmp_path/'slurm'
    found = write_slurm_conf(folder)
    env, conf = os.environ | found, found['SLURM_CONF']
    munged = ['munged', '-F', '--force', f'--key-file={folder}/munge.key', f'--socket={folder}/munge.sock',
              f'--pid-file={folder}/munged.pid', f'--log-file={folder}/munged.log', f'--seed-file={folder}/munge.seed']
    started = []
    try:
        for daemon in (munged, ['slurmctld', '-D', '-f', conf], ['slurmd', '-D', '-f', conf]):
            started.append(subprocess.Popen(daemon, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for_slurm(folder, env)
        yield found, folder/'finished.txt'
    finally:
        for p in reversed(started):
            p.terminate()
            p.wait(20)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.root
def test_the_study_runs_on_slurm(runs, slurm):
    env, finished = slurm
    done = sweep(runs, '--slurm-status-command', 'squeue', '--slurm-init-seconds-before-status-checks', '5',
                 profile='slurm', device='cpu', env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(records(runs)) == 3
    assert finished.read_text().count('JobState=COMPLETED') == 4        # a teacher and three runs, each a job
