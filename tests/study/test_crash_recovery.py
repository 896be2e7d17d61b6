"Nothing is lost: killed, full, damaged, failed, two at once; and the bits are the same as if nothing had happened."
import contextlib, math, os, random, re, resource, signal, subprocess, sys, time
import pytest
from conftest import comparable, smoke_job
from mudenet.core.files import read_json
from mudenet.study.execute import KEPT, execute, load_images, stage_store
from mudenet.study.records import Record
from mudenet.study.stages import STAGES
from mudenet.study.store import Store
from mudenet.training import checkpoint
from safetensors.torch import load_file

SMOKE = ['run', 'retained', '--budget', 'smoke']
SETTINGS = {'distill.epochs': 5, 'train.epochs': 5, 'compute.channels_last': 'true'}     # as the study has it
COMMAND = [*SMOKE, *(f'--set={k}={v}' for k, v in SETTINGS.items())]
EPOCH = r'\S+: epoch [0-9]+ of [0-9]+, loss .* left\n'         # a line of a log
INTERRUPTED = r'\S+: interrupted at epoch [0-9]+ of 5000; the same command goes on\.\n'
HARNESS = f"""
import os, signal, sys, mudenet.__main__, mudenet.study.execute, mudenet.training.checkpoint
mudenet.training.checkpoint.SHARE = 1e9          # every epoch is kept, however short
write = mudenet.training.checkpoint.Checkpoint.write
def told(self, networks, optimizers, history):
    write(self, networks, optimizers, history)
    print(f'kept {{self.path.parent.parent.name}} {{len(history)}}', flush=True)
mudenet.training.checkpoint.Checkpoint.write = told
for line in sys.stdin:                           # a process for each run, without importing everything again
    runs = line.strip()
    if not (pid := os.fork()):
        status = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)      # not where these tests run in the background
            os.setpgid(0, 0)
            with open(runs + '.out', 'a') as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            status = mudenet.__main__.main([*{COMMAND}, '--runs-dir', runs])
        except BaseException as e: print(repr(e), flush=True)
        finally: os._exit(status)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def said(runs): return runs.with_name(f'{runs.name}.out').read_text()


@pytest.fixture(scope='module')
def runner():
    "A function that starts the run into a folder; it gives the process's id, and a function that waits for its end."
    harness = subprocess.Popen([sys.executable, '-c', HARNESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, bufsize=1, env=os.environ | {'OMP_NUM_THREADS': '1'})
    def start(runs):
        print(runs, file=harness.stdin, flush=True)
        return int(harness.stdout.readline()), lambda: int(harness.stdout.readline())
    yield start
    harness.stdin.close()
    harness.wait(60)


def results_of(runs):
    "Everything that a run has made, comparable: its record, and its files' tensors."
    folder = next(runs.glob('retained+*/*/seed42'))
    record, tensors = Record.read(folder/'record.json'), {}
    for name in KEPT: tensors |= {f'{name}.{k}': v for k, v in load_file(folder/f'{name}.safetensors').items()}
    return comparable(record), tensors


def same(one, two): return one[0] == two[0] and all((v == two[1][k]).all() for k, v in one[1].items())


@pytest.fixture(scope='module')
def unbroken(runner, tmp_path_factory):
    "What the run gives without any accident, and its seconds."
    runs = tmp_path_factory.mktemp('unbroken')/'runs'
    runner(runs)[1]()                             # the first one warms caches up
    start = time.perf_counter()
    assert runner(runs.with_name('again'))[1]() == 0, said(runs.with_name('again'))
    return results_of(runs), time.perf_counter() - start


# Killed

KILLS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGKILL]
# Finished; ended by the signal; interrupted, or (99) interrupted before the command had begun.
ENDS = {signal.SIGKILL: (0, -signal.SIGKILL), signal.SIGTERM: (0, -signal.SIGTERM), signal.SIGINT: (0, 130, 99)}


@pytest.mark.slow
@pytest.mark.parametrize('part', range(4))
def test_a_run_killed_at_random_moments_goes_on_with_the_same_bits(part, runner, unbroken, tmp_path):
    expected, seconds = unbroken
    rng, runs = random.Random(part), tmp_path/'runs'
    for kill in KILLS:                            # one after the other, on one run
        pid, end = runner(runs)
        time.sleep(rng.uniform(0, seconds*.6))
        with contextlib.suppress(ProcessLookupError): os.kill(pid, kill)
        assert end() in ENDS[kill]
    assert runner(runs)[1]() == 0
    assert same(results_of(runs), expected)
    assert not list(runs.rglob('checkpoint*')) and not list(runs.rglob('*.aside*'))


def stop_in(stage, kill, runner, runs):
    "Send a signal as soon as a stage has a checkpoint; returns the exit status and the checkpoint's path."
    pid, end = runner(runs)
    deadline = time.time() + 100
    while not (found := list(runs.rglob(f'{stage}/*/checkpoint*.safetensors'))) and time.time() < deadline: pass
    os.kill(pid, kill)
    return end(), found[0]


@pytest.mark.parametrize('kill, status', [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_training_goes_on_at_its_last_epoch(kill, status, runner, unbroken, tmp_path):
    runs = tmp_path/'runs'
    ended, kept = stop_in('student1', kill, runner, runs)
    assert ended == status and kept.exists()
    before = said(runs)
    assert runner(runs)[1]() == 0 and same(results_of(runs), unbroken[0])
    told = said(runs).removeprefix(before)
    assert before.count('kept teacher 1\n') == 1 and 'Taken from earlier runs: teacher' in told
    assert 'kept teacher' not in told and 'kept student1 1\n' not in told and told.count('kept student1 5\n') == 1
    assert 'Traceback' not in before + told


def test_an_interrupted_command_ends_with_130_and_one_line(tmp_path):
    command = [sys.executable, '-m', 'mudenet', *SMOKE, '--set', 'train.epochs=5000', '--runs-dir', str(tmp_path)]
    def listen(): signal.signal(signal.SIGINT, signal.SIG_DFL)            # what runs in the background may ignore it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    deadline = time.time() + 100
    while not list(tmp_path.rglob('student1/*/checkpoint*.safetensors')) and time.time() < deadline: time.sleep(.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, '') and re.fullmatch(f'({EPOCH})*{INTERRUPTED}', err), err


def test_a_damaged_checkpoint_is_set_aside(runner, unbroken, tmp_path):
    runs = tmp_path/'runs'
    ended, kept = stop_in('teacher', signal.SIGKILL, runner, runs)
    assert ended == -signal.SIGKILL
    kept.write_bytes(kept.read_bytes()[:-50])
    assert runner(runs)[1]() == 0 and same(results_of(runs), unbroken[0])
    assert f'set aside as {kept.name}.aside1' in said(runs)


def test_trainings_that_share_a_stage_keep_their_own_checkpoints(tmp_path):
    keys = [{'student1': 'shared', 'autoencoder': key} for key in ('one', 'another')]
    one, other = (Store(tmp_path).checkpoint(k) for k in keys)
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
    one, other = (smoke_job(tmp_path, e, overrides={'train.epochs': 3}) for e in ('exp2a', 'exp2'))    # they share S1
    ds = load_images(one)
    monkeypatch.setattr(checkpoint.Checkpoint, 'write', killed)
    with pytest.raises(KeyboardInterrupt): execute(one, ds)
    monkeypatch.setattr(checkpoint.Checkpoint, 'write', counted)
    execute(other, ds)
    epochs.clear()
    execute(one, ds)
    assert epochs == [(3, 3)] and not list(tmp_path.rglob('checkpoint*'))


# Damaged, full, failed

DAMAGED = [*((s.name, True) for s in STAGES if s.name != 'metrics'),
           ('autoencoder', False), ('student2', False)]     # not detached, the term of S2 trains A too


@pytest.mark.parametrize('name, detach', DAMAGED)
def test_a_damaged_stage_is_set_aside_and_done_again(name, detach, tmp_path, capsys):
    job = smoke_job(tmp_path, overrides={'train.detach': detach})
    ds = load_images(job)
    before = execute(job, ds).record
    path = stage_store(job).path(name, before.stages[name])
    path.unlink()                                  # the run's folder shows the same file
    path.write_bytes(b'damaged')
    job.record_path.unlink()
    after = execute(job, ds).record
    assert comparable(after) == comparable(before)
    assert 'set aside as result.safetensors.aside1' in capsys.readouterr().out


RUN = "import sys\nfrom mudenet.__main__ import main\nsys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize('limit', [2_000, 60_000, 400_000])
def test_a_disk_that_is_full_is_named_and_the_run_goes_on_afterwards(limit, tmp_path):
    job = smoke_job(tmp_path)
    command = [sys.executable, '-c', RUN, *SMOKE, '--runs-dir', str(tmp_path)]
    def restrict(): resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    full = subprocess.run(command, capture_output=True, text=True, preexec_fn=restrict)
    assert full.returncode == 2 and re.fullmatch(f'({EPOCH})*.*free some space.*\n', full.stderr), full.stderr
    assert not job.record_path.exists() and not list(tmp_path.rglob('.*safetensors*'))
    assert execute(job, load_images(job)).record.metrics


BREAK = """
import mudenet.training.students
sound, calls = mudenet.training.students.student_losses, []
def broken(*args, **options):
    calls.append(0)
    return {t: v*(float('nan') if len(calls) == 5 else 1) for t, v in sound(*args, **options).items()}
mudenet.training.students.student_losses = broken
"""


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_its_record_marked(tmp_path):
    command = [*SMOKE, '--set', 'train.epochs=3', '--runs-dir', str(tmp_path)]
    failed = subprocess.run([sys.executable, '-c', BREAK + RUN, *command], capture_output=True, text=True)
    folder = next(tmp_path.glob('retained+*/*/seed42'))
    assert failed.returncode == 2 and 'lower the learning rate' in failed.stderr
    assert read_json(folder/'record-failed.json')['failed'] in failed.stderr and not (folder/'record.json').exists()
    assert subprocess.run([sys.executable, '-c', RUN, *command], capture_output=True).returncode == 0
    assert (folder/'record.json').exists() and not (folder/'record-failed.json').exists()
    images = Record.read(folder/'record.json').dataset['train']
    epoch, batch = divmod(4, math.ceil(images/8))       # the fifth of all batches
    assert f'the loss loss_student1 is nan in batch {batch + 1} of epoch {epoch + 1}' in failed.stderr


# Two at once

REUSED = """
import sys
from mudenet.study.execute import execute, load_images
from mudenet.study.run import Run, plan_run
job = plan_run(Run(sys.argv[1], budget='smoke', runs_dir=sys.argv[2]))
print(execute(job, load_images(job)).record.reused)"""


def test_two_processes_do_a_shared_stage_once(tmp_path):
    command = [sys.executable, '-c', REUSED]
    both = [subprocess.Popen([*command, e, str(tmp_path)], stdout=subprocess.PIPE, text=True) for e in ('exp2', 'exp1')]
    out = [p.communicate(timeout=300)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0] and sum("'teacher'" in o for o in out) == 1


HOLD = """
import sys, time
from pathlib import Path
from mudenet.core.files import locked
with locked(Path(sys.argv[1])):
    print('held', flush=True)
    time.sleep(float(sys.argv[2]))"""


def test_the_lock_of_a_dead_process_holds_nobody(tmp_path):
    command = [sys.executable, '-c', HOLD, str(tmp_path)]
    holder = subprocess.Popen([*command, '600'], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == 'held\n'
    holder.kill()
    holder.wait()
    done = subprocess.run([*command, '0'], capture_output=True, text=True, timeout=60)
    assert done.stdout == 'held\n'


def test_several_runs_stop_at_a_limit_and_go_on(tmp_path):
    command = [sys.executable, '-m', 'mudenet', 'several', 'retained:42', 'exp1:42', '--budget', 'smoke',
               '--at-once', '2', '--runs-dir', str(tmp_path)]
    def type_with(*more): return subprocess.run([*command, *more], capture_output=True, text=True, timeout=400)
    stopped, whole = type_with('--minutes', '.02'), type_with()
    assert stopped.returncode == 1 and '2 of 2 runs are left; the same command goes on' in stopped.stdout
    many = type_with('--minutes', '0', '--at-once', '100000')
    assert 'side by side instead of 100000' in many.stdout
    assert whole.returncode == 0 and whole.stdout.count(' finished') == 2
    assert len(list(tmp_path.glob('*/*/seed42/record.json'))) == 2
