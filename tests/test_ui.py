"""`make ui` starts whatever state MLflow and the results are in, and ends without a trace."""

import os
import pty
import signal
import socket
import urllib.error
import urllib.request

import pytest
from conftest import one_sentence, wait_for
from services import free_port, listening, serve
from test_embedded_store import UNUSABLE, change, content, original, root  # noqa: F401 (a fixture)

from pipeline.tracking import browser, views
from pipeline.ui import check_free


def test_a_port_that_is_taken_is_named_with_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with one_sentence(f"port is {port}: it cannot be used (Address already in use); choose another one: port="):
            check_free(port)
    check_free(port)


@pytest.mark.service
def test_it_starts_with_each_state_of_the_database(fresh):
    database = fresh.root / "mlruns/mlflow.db"
    added = "Runs added from the result files: 0."
    assert serve(fresh) == added
    for said in ("made by a newer MLflow", "is incomplete"):  # all are mended alike: test_embedded_store.py
        UNUSABLE[said](database)
        assert serve(fresh) == added
    database.write_bytes(b"")
    assert serve(fresh) == added
    fresh.root.joinpath("models/damaged").mkdir(parents=True)
    fresh.write("models/damaged/params.json", "")
    assert serve(fresh) == added
    change(database, "UPDATE experiments SET lifecycle_stage = 'deleted'")
    assert serve(fresh).startswith("MLflow UI: http://127.0.0.1:")


@pytest.mark.service
def test_it_ends_with_a_link_to_each_view(fresh):
    port = free_port()
    with fresh.started("python", "-m", "pipeline.ui", f"port={port}") as server:
        listening(f"http://127.0.0.1:{port}/", server)
        os.killpg(server.pid, signal.SIGINT)
        out, _ = server.communicate(timeout=20)
    titles, page = [view.title for view in views.VIEWS.values()], f"http://127.0.0.1:{port}/#/"
    lines = [line.rpartition(page) for line in out.splitlines()[2:]]
    assert [(title.strip(), link) for title, link, _ in lines] == [(title, page) for title in titles]


@pytest.mark.service
@pytest.mark.parametrize("wanted", [True, False])
def test_the_first_view_opens_in_the_browser_of_a_user_at_a_terminal(fresh, tmp_path, wanted):
    opened, port = tmp_path / "opened", free_port()
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" > {opened}.part\nmv {opened}.part {opened}\n', encoding="utf-8")
    opener.chmod(0o755)
    ours, theirs = pty.openpty()
    env = {"BROWSER": f"{opener} %s", "CI": ""}
    words = ("python", "-m", "pipeline.ui", f"port={port}", f"browser={str(wanted).lower()}")
    with fresh.started(*words, env=env, stdout=theirs) as server:
        listening(f"http://127.0.0.1:{port}/", server)
        if wanted:
            wait_for(opened.exists, server)
            assert opened.read_text(encoding="utf-8").endswith("viewStateShareKey=attention-variants\n")
        os.killpg(server.pid, signal.SIGINT)
        server.communicate(timeout=20)
    assert opened.exists() == wanted
    os.close(ours)
    os.close(theirs)


def test_no_browser_opens_without_a_user_and_a_failure_is_silent(monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert not browser.is_wanted(True)
    monkeypatch.setenv("DISPLAY", ":0")
    assert browser.is_wanted(True)
    assert not browser.is_wanted(False)
    monkeypatch.setenv("CI", "true")
    assert not browser.is_wanted(True)
    monkeypatch.setattr("webbrowser._tryorder", [])
    monkeypatch.setenv("BROWSER", "/nowhere/browser")
    browser.open_page("http://127.0.0.1:1/")
    assert capsys.readouterr() == ("", "")


@pytest.mark.service
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_it_and_no_other_host_is_served(fresh, number):
    port = free_port()
    with fresh.started("python", "-m", "pipeline.ui", f"port={port}") as server:
        listening(f"http://127.0.0.1:{port}/", server)
        page = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search?max_results=1"
        with urllib.request.urlopen(page) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(page, headers={"Host": "example.org"}))
        os.kill(server.pid, number)  # that process alone
        _, error = server.communicate(timeout=20)  # it ends when all processes have that write to it
        assert "Traceback" not in error
        check_free(port)
