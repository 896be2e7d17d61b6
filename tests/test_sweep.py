"A study through Snakemake: killed and resumed, with a run that fails, on a real one-node Slurm; and what its command line prints."
import contextlib, json, os, re, shutil, signal, socket, subprocess, sys, time
import pytest, torch
from conftest import ROOT
from mudenet.records import read_json
from mudenet.study import main
from mudenet.sweep import study_jobs

EXPERIMENTS = 'baseline,exp1,exp2'


def command(runs, *args, profile='local', budget='smoke', device='auto'):
    "As `make study` types it."
    return [*map(str, [sys.executable, '-m', 'snakemake', '-s', ROOT/'experiments'/'Snakefile', '--workflow-profile', ROOT/'experiments'/'profiles'/profile,
                       *args, '--config', f'profile={profile}', f'budget={budget}', f'device={device}', f'experiments={EXPERIMENTS}', 'seeds=42', 'data=', f'runs_dir={runs}'])]


def sweep(runs, *args, env=None, **kwargs):
    "Run it to its end, in an empty folder beside the runs."
    return subprocess.run(command(runs, *args, **kwargs), cwd=runs.parent, capture_output=True, text=True, timeout=400, env=env and os.environ | env)


def jobs(runs): return study_jobs(EXPERIMENTS, '42', 'smoke', runs_dir=runs)


def records(runs): return {j.experiment: read_json(j.folder/'record.json') for j in jobs(runs) if (j.folder/'record.json').exists()}


@pytest.fixture
def runs(tmp_path): return tmp_path/'runs'


def test_a_killed_study_goes_on_and_repeats_nothing(runs):
    process = subprocess.Popen(command(runs), cwd=runs.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.time() + 200
    while not records(runs) and time.time() < deadline: time.sleep(.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {e: (j.folder/'run.ipynb').stat().st_mtime_ns for j in jobs(runs) for e in [j.experiment] if e in records(runs)}
    assert before and len(before) < 3
    done = sweep(runs)
    assert done.returncode == 0, done.stderr
    found = records(runs)
    assert len(found) == 3
    for j in jobs(runs):
        if j.experiment in before: assert (j.folder/'run.ipynb').stat().st_mtime_ns == before[j.experiment]
    assert sum('teacher' not in r['reused'] for r in found.values()) == 0                      # the teacher was a job of its own
    again = sweep(runs)
    assert again.returncode == 0 and 'rule run' not in again.stdout + again.stderr


def test_a_failed_run_is_named_and_the_rest_goes_on(runs):
    bad = next(j.folder for j in jobs(runs) if j.experiment == 'exp1')
    (bad/'maps.safetensors').mkdir(parents=True)                                               # the run cannot put its file there
    done = sweep(runs)
    assert done.returncode == 1
    assert set(records(runs)) == {'baseline', 'exp2'}
    assert '1 of 3 runs are not finished' in done.stdout + done.stderr and str(bad/'run.ipynb') in done.stdout + done.stderr
    assert 'maps.safetensors' in (bad/'run.ipynb').read_text()
    (bad/'maps.safetensors').rmdir()
    assert sweep(runs).returncode == 0 and len(records(runs)) == 3


def test_a_wrong_study_stops_before_any_run(runs):
    done = subprocess.run(command(runs) + ['experiments=exp99'], cwd=runs.parent, capture_output=True, text=True)
    assert done.returncode == 1 and "exp99" in done.stderr and not (runs/'exp99').exists()
    assert 'Traceback' not in done.stderr


def test_the_node_that_submits_needs_no_gpu(runs):
    done = sweep(runs, '-n', profile='slurm', budget='screening', device='cuda')
    said = done.stdout + done.stderr
    assert done.returncode == 0 and len(re.findall(r'output: \S+-screening-cuda/seed42/record.json', said)) == 3, said
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
    assert done.returncode == 0 and not list(runs.glob('*/*/*/record.json'))
    assert (done.stdout + done.stderr).count('rule run:') == 3 and (done.stdout + done.stderr).count('rule teacher:') == 1


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


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets: s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in sockets]


@pytest.fixture
def slurm(tmp_path):
    "A cluster of one node on loopback, with its own key; the environment that finds it, and the list of finished jobs."
    missing = [p for p in ('munged', 'slurmctld', 'slurmd', 'sbatch') if not shutil.which(p)]
    if missing: pytest.skip(f"{', '.join(missing)} not installed (Debian: slurmctld slurmd slurm-client munge)")
    if os.geteuid(): pytest.skip('slurmd needs root')
    folder = tmp_path/'slurm'
    for d in ('state', 'spool'): (folder/d).mkdir(parents=True)
    folder.chmod(0o755)
    key, conf = folder/'munge.key', folder/'slurm.conf'
    key.write_bytes(os.urandom(128)); key.chmod(0o600)
    conf.write_text(SLURM_CONF.format(folder=folder, host=socket.gethostname().split('.')[0], ports=free_ports(2), cpus=os.cpu_count(),
                                      memory=os.sysconf('SC_PHYS_PAGES')*os.sysconf('SC_PAGE_SIZE')//2**20))
    srun = folder/'bin'/'srun'                                                                 # a job step starts without the SLURM_ variables of its job
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {shutil.which("srun")} "$@"\n'); srun.chmod(0o755)
    found = {'SLURM_CONF': str(conf), 'PATH': f"{srun.parent}:{os.environ['PATH']}"}
    env = os.environ | found
    started = [subprocess.Popen(c, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in (
        ['munged', '-F', '--force', f'--key-file={key}', f'--socket={folder}/munge.sock', f'--pid-file={folder}/munged.pid', f'--log-file={folder}/munged.log', f'--seed-file={folder}/munge.seed'],
        ['slurmctld', '-D', '-f', conf], ['slurmd', '-D', '-f', conf])]
    try:
        for _ in range(60):
            up = subprocess.run(['sinfo', '-h', '-o', '%T'], env=env, capture_output=True, text=True)
            if up.stdout.strip() == 'idle': break
            time.sleep(.5)
        else: pytest.fail(f'Slurm did not start: {up.stderr}{(folder/"slurmctld.log").read_text()[-2000:]}')
        yield found, folder/'finished.txt'
    finally:
        for p in reversed(started): p.terminate(); p.wait(20)


def test_the_study_runs_on_slurm(runs, slurm):
    env, finished = slurm
    done = sweep(runs, '--slurm-status-command', 'squeue', '--slurm-init-seconds-before-status-checks', '5', profile='slurm', device='cpu', env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(records(runs)) == 3
    assert finished.read_text().count('JobState=COMPLETED') == 4                                # a teacher and three runs, each a job of the cluster


@pytest.mark.parametrize('args, says', [
    (['list'], 'screening-baseline'), (['show', 'e5.4'], 'schedule: cosine'), (['reuse'], 'maps metrics'), (['plan', '--budget', 'screening'], 'epochs instead of'),
    (['table'], 'verdict'), (['audit'], 'its base figures are not those of screening-baseline')])
def test_the_command_line_in_text_and_json(args, says, capsys):
    assert main(args) == 0 and says in capsys.readouterr().out
    assert main([*args, '--json']) == 0
    json.loads(capsys.readouterr().out)


def test_the_command_line_refuses_in_one_sentence(capsys):
    assert main(['show', 'exp99']) == 2
    assert capsys.readouterr().err.count('\n') == 1
