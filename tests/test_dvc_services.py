"""What DVC does with a study beyond `dvc repro`: it stores the study on a server, and runs queued experiments."""

import pytest
from conftest import RESULTS, wait_for
from services import s3_server, serve, stored

pytestmark = pytest.mark.service
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def bucket(tmp_path):
    """An S3 server with the bucket "study"."""
    import boto3

    secrets = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    with s3_server(tmp_path) as server:
        boto3.client("s3", endpoint_url=server.address, **secrets).create_bucket(Bucket="study")
        yield server.address


def test_a_study_goes_to_s3_and_comes_back(project, bucket, tmp_path):
    project.run("dvc", "remote", "add", "--default", "s3", "s3://study/dvc")
    project.run("dvc", "remote", "modify", "s3", "endpointurl", bucket)
    project.run("git", "commit", "-qam", "A remote")
    project.run("dvc", "push", env=KEYS)
    clone = project.clone(tmp_path / "clone")
    assert not (clone.root / "models").exists()
    clone.run("dvc", "pull", env=KEYS)
    assert clone.repro() == []
    assert clone.bytes(*RESULTS) == project.bytes(*RESULTS)
    project.run("dvc", "remote", "modify", "s3", "url", "s3://nowhere/dvc")
    error = project.run("dvc", "push", code=255, env=KEYS).stderr
    assert "Traceback" not in error
    assert "The specified bucket does not exist" in error
    project.run("git", "checkout", "-q", ".dvc/config")


def test_queued_experiments_run_side_by_side_and_leave_the_study_alone(restored):
    before = restored.bytes("attention", "comparison", "params.yaml")
    runs = len(stored(restored))
    for seed in (2, 3):
        restored.run("dvc", "exp", "run", "--queue", "-n", f"seed-{seed}", "-S", f"explain.seed={seed}")
    restored.run("dvc", "queue", "start", "-j", "2")

    def finished():
        states = restored.run("dvc", "queue", "status").stdout
        assert "Failed" not in states, restored.run("dvc", "queue", "logs", "seed-2").stdout
        return states.count("Success") == 2

    wait_for(finished, seconds=500)
    assert restored.bytes("attention", "comparison", "params.yaml") == before
    shown = restored.run("dvc", "exp", "show", "--csv").stdout
    assert all(name in shown for name in ("seed-2", "seed-3"))
    restored.run("dvc", "exp", "apply", "seed-3")
    assert "seed: 3" in restored.read("params.yaml")
    assert restored.repro() == []
    assert restored.bytes("attention") != before
    assert len(stored(restored)) == runs  # theirs were elsewhere, and are filled in from the files
    assert serve(restored) == "Runs added from the result files: 9."  # eight seeds and a comparison
