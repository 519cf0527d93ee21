"""Seeds and sweeps on a Dask cluster of two nodes give the bytes of a local run, whichever process dies."""

import os
import shutil
import signal
import time

import pytest
import yaml
from conftest import RESULTS, SMALL, Project, wait_for
from services import Cluster, free_port, mlflow_server, serve, tracked_by

pytestmark = pytest.mark.service
SEEDS = [0, 1, 2, 3]
LONG = SMALL | {"seeds": SEEDS, "train": SMALL["train"] | {"epochs": 150}}
TRAIN = ("train", "+variant=after_unshared")


@pytest.fixture
def cluster(tmp_path, request):
    with Cluster(tmp_path, **getattr(request, "param", {})) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with data, and the bytes of what a variant's training by local processes gives."""
    project = Project(tmp_path_factory.mktemp("long"), LONG)
    project.stage("dataset")
    project.stage(*TRAIN, "tracking=off")
    return project, project.bytes("models")


@pytest.fixture
def untrained(trained, tmp_path):
    """A project with data, in which nothing was trained."""
    project = Project(tmp_path / "untrained", LONG)
    shutil.copytree(trained[0].root / "data", project.root / "data")
    return project


def who_worked(cluster):
    """Return name of a worker -> number of tasks it has finished since the first call."""
    from distributed import Client

    with Client(cluster.address) as client:
        names = {address: worker["name"] for address, worker in client.scheduler_info(-1)["workers"].items()}
        done = [names.get(task["worker"], "gone") for task in client.get_task_stream(start=0)]
    return {name: done.count(name) for name in done}


def parts(project):
    """Return the names of what is finished of a stage under way."""
    found = project.root.glob("outputs/parts/*/*")
    return [path.name for path in found if path.is_dir() and not path.name.endswith(".part")]


def training(project, cluster, *words, **environment):
    """Start a training on a cluster."""
    command = ("python", "-m", "pipeline.train", "+variant=after_unshared", *words)
    return project.started(*command, env=project.forked | cluster.environment | environment)


def test_a_study_on_two_nodes_is_that_of_the_own_cores(cluster, tmp_path):
    """One node shares the folder of the study; the other has a checkout of its own, with the same data."""
    own, near, far = (
        Project(tmp_path / name, SMALL | {"variants": ["after_shared"]}) for name in ("own", "near", "far")
    )
    for project in (own, near):
        project.run("git", "init", "-q")
    stages = sorted(own.repro())
    far.stage("dataset")
    cluster.join("near", near)
    cluster.join("far", far)
    assert who_worked(cluster) == {}
    assert sorted(Project.ran(near.run("dvc", "repro", env=cluster.environment).stdout)) == stages
    assert near.bytes(*RESULTS) == own.bytes(*RESULTS)
    # DVC enters the stages in the order in which they ran.
    assert yaml.safe_load(near.read("dvc.lock")) == yaml.safe_load(own.read("dvc.lock"))
    # Two seeds are trained and analyzed, and there are four controls.
    worked = who_worked(cluster)
    assert sum(worked.values()) == 2 * 2 + 4
    assert min(worked["near"], worked["far"]) >= 2
    assert not list(far.root.glob("models/*"))
    assert near.repro() == []


def test_a_node_that_dies_in_mid_study_changes_nothing(trained, untrained, cluster, tmp_path):
    """Nor does it leave anything on an MLflow server, to which workers log while they train."""
    from mlflow import MlflowClient

    cluster.join("a", untrained)
    doomed = cluster.join("b", untrained)
    with mlflow_server(tmp_path, f"sqlite:///{tmp_path}/mlflow.db") as server:
        with training(untrained, cluster, "tracking=server", **tracked_by(server.address)) as process:
            wait_for(lambda: parts(untrained), process)
            client = MlflowClient(server.address)
            where = [client.get_experiment_by_name("attention").experiment_id]
            wait_for(lambda: len(client.search_runs(where, "attributes.status = 'RUNNING'")) >= 2, process)
            doomed.kill()
            _, error = process.communicate(timeout=400)
        assert process.returncode == 0, error
        assert "lost" not in error
        assert untrained.bytes("models") == trained[1]
        runs = client.search_runs(where)
        seeds = sorted(run.data.tags["seed"] for run in runs if run.info.status == "FINISHED")
        assert seeds == list(map(str, SEEDS))
        assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
        assert len(runs) > len(SEEDS)  # that of the seed which the node was at


@pytest.mark.parametrize("cluster", [{"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "20s"}], indirect=True)
def test_a_node_that_falls_silent(trained, untrained, cluster):
    """It keeps its connections, so that Dask waits for it for a while; its tasks are then given to the other."""
    cluster.join("a", untrained)
    cluster.join("b", untrained).stop()
    error = untrained.stage(*TRAIN, "tracking=off", env=cluster.environment).stderr
    messages = [line for line in error.splitlines() if "does not answer" in line]
    assert len(messages) == 1
    assert messages[0].startswith(f"cluster is {cluster.address}: its worker tcp://127.0.0.1:")
    assert untrained.bytes("models") == trained[1]


def test_a_driver_that_dies_finishes_what_is_left_when_started_again(trained, untrained, cluster):
    for name in "ab":
        cluster.join(name, untrained)
    with training(untrained, cluster) as process:
        wait_for(lambda: parts(untrained), process)
        os.killpg(process.pid, signal.SIGKILL)
    finished = set(parts(untrained))
    out = untrained.stage(*TRAIN, env=cluster.environment).stdout
    assert f"train after_unshared: {len(finished)} of 4 seeds were finished before." in out
    assert untrained.bytes("models") == trained[1]
    assert len(parts(untrained)) == 4  # kept, for seeds that are added


def test_workers_turn_from_a_task_that_nobody_waits_for(untrained, cluster):
    from distributed import Client

    untrained.change({"train": LONG["train"] | {"epochs": 1_000_000}})
    shutil.rmtree(untrained.root / "data")
    untrained.stage("dataset")
    cluster.join("a", untrained)
    with Client(cluster.address) as client:
        with training(untrained, cluster) as process:
            wait_for(lambda: any(client.processing().values()), process)
            time.sleep(10)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
        assert process.returncode == 130
        assert error.splitlines()[-1] == "error: interrupted; what was finished before is as it was."
        assert client.submit(lambda: "free").result(timeout=60) == "free"


def test_combinations_of_a_sweep_go_through_the_cluster(fresh, cluster):
    sweep = ("+variant=before_unshared,after_unshared", "data.key_step=4")  # two combinations that need the same data
    fresh.stage("sweep", *sweep, "results=local")
    for name in ("outputs", "mlruns"):
        shutil.rmtree(fresh.root / name)
    for name in "ab":
        cluster.join(name, fresh)
    assert who_worked(cluster) == {}
    out = fresh.stage("sweep", *sweep, "results=cluster", env=cluster.environment).stdout
    done = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("-- ")]
    assert sorted(done) == ["variant=after_unshared", "variant=before_unshared"]
    assert who_worked(cluster) == {"a": 1, "b": 1}
    local, here = ([*fresh.bytes(name).values()] for name in ("local", "cluster"))
    assert here == local
    assert serve(fresh) == "Runs added from the result files: 0."  # the workers could not log them, but the sweep did
    out = fresh.stage("sweep", *sweep, "results=again", env=cluster.environment).stdout
    assert "2 of 2 combinations were made before." in out
    assert [*fresh.bytes("again").values()] == local


def test_with_fewer_combinations_than_seeds_a_sweep_spreads_the_seeds(fresh, cluster):
    for name in "ab":
        cluster.join(name, fresh)
    assert who_worked(cluster) == {}
    out = fresh.stage("sweep", "+variant=after_unshared", "seeds=[0,1,2]", env=cluster.environment).stdout
    assert "== 1 of 1: variant=after_unshared" in out
    assert sum(who_worked(cluster).values()) == 6  # three trained, three analyzed


def with_user_layer(project, code):
    """Give a project a variant `lone`, whose layer is the class `Mine` of `lone.py`."""
    project.replace("conf/config.yaml", "  - keras\n", "  - keras\n  - lone\n")
    project.write("lone.py", code)
    project.write("conf/variant/lone.yaml", "placement: before\nattention:\n  _target_: lone.Mine\n")


def test_a_user_error_on_a_worker_is_reported_where_the_sweep_was_started(fresh, cluster):
    with_user_layer(
        fresh,
        "from pipeline.attention import NoAttention\n\n\nclass Mine(NoAttention):\n"
        "    def call(self, inputs, return_attention_scores=False):\n"
        "        return inputs, -super().call(inputs, True)[1]\n",
    )
    cluster.join("a", fresh)
    error = fresh.stage("sweep", "+variant=lone", "seeds=[0]", code=1, env=cluster.environment).stderr
    assert error.splitlines()[-1].startswith("error: lone: an attention weight is -0.166")
    assert "Traceback" not in error


def refusal(project, cluster, *words, stage=TRAIN):
    """Return the sentence by which a stage refuses to work on a cluster."""
    error = project.stage(*stage, *words, code=1, env=cluster.environment if cluster else {}).stderr
    assert "Traceback" not in error
    assert not list(project.root.glob("models/*"))
    return error.splitlines()[-1]


def test_a_cluster_that_is_not_there(untrained):
    address = f"tcp://127.0.0.1:{free_port()}"
    error = f"error: cluster is {address}: it cannot be reached (Timed out"
    assert refusal(untrained, None, f"cluster={address}").startswith(error)
    assert refusal(untrained, None, "cluster=nix") == (
        "error: cluster is nix: it cannot be reached (missing port number in address 'nix')."
    )


def test_a_cluster_without_workers_or_whose_workers_all_fall_silent(untrained, cluster):
    assert refusal(untrained, cluster).startswith(f"error: cluster is {cluster.address}: it has no workers;")
    cluster.join("a", untrained).stop()
    assert refusal(untrained, cluster).startswith(f"error: cluster is {cluster.address}: none of its workers answers;")


MISSING = {  # what is said -> the file or folder that the worker's project lacks
    "does not see": "data",
    "differs in code: ": "src/pipeline/models/batches.py",
    "a worker cannot load this project (ModuleNotFoundError": "src/pipeline/execution/dask_cluster.py",
    "differs in settings, or your own code: ": "lone.py",
}


@pytest.mark.parametrize("said", ["has 2 threads: it must have 1", "differs in data/train: 0, not", *MISSING])
def test_a_worker_that_would_give_other_results(untrained, cluster, tmp_path, said):
    for project in (untrained, far := Project(tmp_path / "far", LONG)):
        with_user_layer(project, "from pipeline.attention import NoAttention as Mine\n")
    shutil.copytree(untrained.root / "data", far.root / "data")
    if "data/train" in said:
        far.write("data/train/sha256.txt", "0")
    elif said in MISSING:
        far.run("rm", "-r", MISSING[said])
    cluster.join("far", far, threads=2 if "threads" in said else 1)
    message = refusal(untrained, cluster, stage=("train", "+variant=lone"))
    assert message.startswith(f"error: cluster is {cluster.address}: ")
    assert said in message


def test_a_sweep_needs_workers_that_share_its_folder(untrained, cluster, tmp_path):
    far = Project(tmp_path / "far", LONG)
    cluster.join("far", far)
    variants = "+variant=before_shared,before_unshared,after_shared,after_unshared"  # as many combinations as seeds
    message = refusal(untrained, cluster, stage=("sweep", variants))
    assert f"differs in project folder: another one ({far.root}), not that of the sweep" in message


def test_a_cluster_that_is_lost(trained, untrained, cluster):
    cluster.join("a", untrained)
    with training(untrained, cluster) as process:
        wait_for(lambda: parts(untrained), process)
        cluster.scheduler.kill()
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.splitlines()[-1] == (
        f"error: cluster is {cluster.address}: the connection was lost; "
        "finished work is kept: run the same command again."
    )
    untrained.stage(*TRAIN)  # what is left, on this machine's cores
    assert untrained.bytes("models") == trained[1]
