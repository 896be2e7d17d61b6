"Nothing is lost: killed, full, damaged, failed, two at once; and the bits are the same as if nothing had happened."
import contextlib, os, random, resource, signal, subprocess, sys, time
import pytest
from safetensors.torch import load_file
from mudenet import checkpoint
from mudenet.records import read_json
from mudenet.stages import STAGES, Store
from mudenet.study import KEPT, execute, load_images, plan_run

SETTINGS = {'distill.epochs': 5, 'train.epochs': 5, 'compute.channels_last': 'true'}     # as the budgets of the study have it
COMMAND = ['run', 'retained', '--budget', 'smoke', *(a for k, v in SETTINGS.items() for a in ('--set', f'{k}={v}'))]
HARNESS = """
import os, sys, mudenet.checkpoint, mudenet.study
mudenet.checkpoint.SHARE = 1e9                   # every epoch is kept, however short
write = mudenet.checkpoint.Checkpoint.write
def told(self, networks, optimizers, history):
    write(self, networks, optimizers, history)
    print(f'kept {self.path.parent.parent.name} {len(history)}', flush=True)
mudenet.checkpoint.Checkpoint.write = told
for line in sys.stdin:                           # a process for each run, without importing everything again
    runs = line.strip()
    if not (pid := os.fork()):
        os.setpgid(0, 0)
        with open(runs + '.out', 'a') as out: os.dup2(out.fileno(), 1); os.dup2(out.fileno(), 2)
        try: status = mudenet.study.main([*%r, '--runs-dir', runs])
        except BaseException as e: print(repr(e), flush=True); status = 99
        os._exit(status)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
""" % (COMMAND,)


@pytest.fixture(scope='module')
def runner():
    "A function that starts the run into a folder; it gives the process's id, and a function that waits for its end."
    harness = subprocess.Popen([sys.executable, '-c', HARNESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | {'OMP_NUM_THREADS': '1'})
    def start(runs):
        print(runs, file=harness.stdin, flush=True)
        return int(harness.stdout.readline()), lambda: int(harness.stdout.readline())
    yield start
    harness.stdin.close(); harness.wait(60)


def files_of(runs):
    "Everything that a run has made, comparable."
    folder = next(runs.glob('retained+*/*/seed42'))
    record = read_json(folder/'record.json')
    return {k: record[k] for k in ('metrics', 'losses', 'stages', 'images', 'config')}, {n: load_file(folder/f'{n}.safetensors') for n in KEPT}


def same(one, two):
    return one[0] == two[0] and all((a[k] == b[k]).all() for n, a in one[1].items() for b in [two[1][n]] for k in a)


@pytest.fixture(scope='module')
def unbroken(runner, tmp_path_factory):
    "The run without any accident, and its seconds."
    runs = tmp_path_factory.mktemp('unbroken')/'runs'
    runner(runs)[1]()                             # the first one warms caches up
    start = time.perf_counter()
    assert runner(runs.with_name('again'))[1]() == 0
    return files_of(runs), time.perf_counter() - start


MOMENTS = 20


@pytest.mark.parametrize('part', range(4))
def test_a_run_killed_at_random_moments_goes_on_with_the_same_bits(part, runner, unbroken, tmp_path):
    expected, seconds = unbroken
    rng, runs = random.Random(part), tmp_path/'runs'
    for kill in [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGKILL][:MOMENTS//4]:      # one after the other, on one run
        pid, end = runner(runs)
        time.sleep(rng.uniform(0, seconds*.6))
        with contextlib.suppress(ProcessLookupError): os.kill(pid, kill)
        assert end() in (0, 99 if kill == signal.SIGINT else -kill)      # 99: KeyboardInterrupt
    assert runner(runs)[1]() == 0
    assert same(files_of(runs), expected)
    assert not list(runs.rglob('checkpoint*')) and not list(runs.rglob('*.aside*'))


def killed_in(stage, runner, runs):
    "Kill the run as soon as that stage has a checkpoint; the checkpoint's path."
    pid, end = runner(runs)
    deadline = time.time() + 100
    while not (found := list(runs.rglob(f'{stage}/*/checkpoint*.safetensors'))) and time.time() < deadline: pass
    os.kill(pid, signal.SIGKILL)
    assert end() == -signal.SIGKILL and found[0].exists()
    return found[0]


def test_a_training_goes_on_at_its_last_epoch(runner, unbroken, tmp_path):
    runs = tmp_path/'runs'
    killed_in('s1', runner, runs)
    assert runner(runs)[1]() == 0 and same(files_of(runs), unbroken[0])
    told = runs.with_name('runs.out').read_text()
    assert 'Taken from earlier runs: teacher' in told and told.count('kept s1 5') == told.count('kept s1 1') == told.count('kept teacher 1') == 1


def test_a_damaged_checkpoint_is_set_aside(runner, unbroken, tmp_path):
    runs = tmp_path/'runs'
    found = killed_in('teacher', runner, runs)
    found.write_bytes(found.read_bytes()[:-50])
    assert runner(runs)[1]() == 0 and same(files_of(runs), unbroken[0])
    assert f'set aside as {found.name}.aside1' in runs.with_name('runs.out').read_text()


def test_trainings_that_share_a_stage_keep_their_own_checkpoints(tmp_path):
    one, other = (Store(tmp_path).checkpoint({'s1': 'shared', 'autoencoder': key}) for key in ('one', 'another'))
    assert one.path.parent == other.path.parent and one.path != other.path


def test_a_training_goes_on_where_another_run_has_finished_a_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, 'SHARE', 1e9)
    write, epochs = checkpoint.Checkpoint.write, []
    def killed(self, networks, optimizers, history):
        write(self, networks, optimizers, history)
        if len(networks) == 3 and len(history) == 2: raise KeyboardInterrupt
    def counted(self, networks, optimizers, history):
        epochs.append((len(networks), len(history)))
        write(self, networks, optimizers, history)
    one, other = (plan_run(id, budget='smoke', runs_dir=tmp_path, overrides={'train.epochs': 3}) for id in ('exp2a', 'exp2'))       # they share S1
    ds = load_images(one)
    monkeypatch.setattr(checkpoint.Checkpoint, 'write', killed)
    with pytest.raises(KeyboardInterrupt): execute(one, ds)
    monkeypatch.setattr(checkpoint.Checkpoint, 'write', counted)
    execute(other, ds)
    epochs.clear()
    execute(one, ds)
    assert epochs == [(3, 3)] and not list(tmp_path.rglob('checkpoint*'))


@pytest.mark.parametrize('name, detach', [*((s.name, True) for s in STAGES if s.name != 'metrics'), ('autoencoder', False), ('s2', False)])     # undetached, L2 trains A too
def test_a_damaged_stage_is_set_aside_and_done_again(name, detach, tmp_path, capsys):
    run = plan_run(budget='smoke', runs_dir=tmp_path, overrides={'train.detach': detach})
    before = execute(run, load_images(run)).record
    path = run.store.path(name, before['stages'][name])
    path.unlink(); path.write_bytes(b'damaged')        # unlinked first: the run's folder shows the same file
    run.record_path.unlink()
    after = execute(run, load_images(run)).record
    assert {k: after[k] for k in ('metrics', 'losses', 'images')} == {k: before[k] for k in ('metrics', 'losses', 'images')}
    assert 'set aside as result.safetensors.aside1' in capsys.readouterr().out


@pytest.mark.parametrize('limit', [2_000, 60_000, 400_000])
def test_a_disk_that_is_full_is_named_and_the_run_goes_on_afterwards(limit, tmp_path):
    run = plan_run(budget='smoke', runs_dir=tmp_path)
    code = f"from mudenet.study import main\nimport sys\nsys.exit(main(['run', 'retained', '--budget', 'smoke', '--runs-dir', {str(tmp_path)!r}]))"
    full = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert full.returncode == 2 and 'free some space' in full.stderr and full.stderr.count('\n') == 1
    assert not run.record_path.exists() and not [p for p in tmp_path.rglob('.*safetensors*')]
    assert execute(run, load_images(run)).record['metrics']


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_its_record_marked(tmp_path):
    code = f"""
import sys, mudenet.train, mudenet.study
sound, calls = mudenet.train.stage2_losses, []
def broken(*a, **k): calls.append(0); return {{t: v*(float('nan') if len(calls) == 5 else 1) for t, v in sound(*a, **k).items()}}
if sys.argv[1:]: mudenet.train.stage2_losses = broken
sys.exit(mudenet.study.main(['run', 'retained', '--budget', 'smoke', '--runs-dir', {str(tmp_path)!r}, '--set', 'train.epochs=3']))"""
    failed = subprocess.run([sys.executable, '-c', code, 'broken'], capture_output=True, text=True)
    folder = next(tmp_path.glob('retained+*/*/seed42'))
    assert failed.returncode == 2 and 'the loss L1 is nan in batch 1 of epoch 3' in failed.stderr and 'lower the learning rate' in failed.stderr     # 22 images are two batches
    assert read_json(folder/'record-failed.json')['failed'] in failed.stderr and not (folder/'record.json').exists()
    assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 0
    assert (folder/'record.json').exists() and not (folder/'record-failed.json').exists()


def test_two_processes_do_a_shared_stage_once(tmp_path):
    code = "import sys\nfrom mudenet.study import *\nr = plan_run(sys.argv[1], budget='smoke', runs_dir=sys.argv[2])\nprint(execute(r, load_images(r)).record['reused'])"
    both = [subprocess.Popen([sys.executable, '-c', code, e, tmp_path], stdout=subprocess.PIPE, text=True) for e in ('exp2', 'exp1')]
    out = [p.communicate(timeout=300)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0] and sum("'teacher'" in o for o in out) == 1


def test_the_lock_of_a_dead_process_holds_nobody(tmp_path):
    code = f"import time\nfrom pathlib import Path\nfrom mudenet.records import locked\nwith locked(Path({str(tmp_path)!r})): print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == 'held\n'
    holder.kill(); holder.wait()
    done = subprocess.run([sys.executable, '-c', code.replace('time.sleep(600)', 'pass')], capture_output=True, text=True, timeout=60)
    assert done.stdout == 'held\n'


def test_several_runs_stop_at_a_limit_and_go_on(tmp_path):
    command = [sys.executable, '-m', 'mudenet.study', 'several', 'retained:42', 'exp1:42', '--budget', 'smoke', '--at-once', '2', '--runs-dir', tmp_path]
    stopped, whole = (subprocess.run([*map(str, command), *more], capture_output=True, text=True, timeout=400) for more in (('--minutes', '.02'), ()))
    assert stopped.returncode == 1 and '2 of 2 runs are left; the same command goes on' in stopped.stdout
    many = subprocess.run([*map(str, command), '--minutes', '0', '--at-once', '100000'], capture_output=True, text=True, timeout=400)
    assert 'side by side instead of 100000' in many.stdout
    assert whole.returncode == 0 and whole.stdout.count(' finished') == 2 and len(list(tmp_path.glob('*/*/seed42/record.json'))) == 2
