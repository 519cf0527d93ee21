"""Run the stages and DVC commands that standard input names, one after the other, in one process (conftest.py)."""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO

from pipeline.settings import study


def run(words: list[str]) -> int:
    """Run a command as `python -m pipeline.NAME` or `dvc` would, and return its exit code."""
    sys.argv = words
    if words[0] == "dvc":
        return import_module("dvc.cli").main(words[1:])
    study.params.cache_clear()  # the only file that a process reads once
    try:
        import_module(f"pipeline.{words[0]}").main()
    except SystemExit as error:
        return error.code or 0
    return 0


if __name__ == "__main__":
    out, err = StringIO(), StringIO()  # the same for all commands: DVC keeps what it finds first
    for line in sys.stdin:
        with redirect_stdout(out), redirect_stderr(err):
            code = run(json.loads(line))
        print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
        for stream in (out, err):
            stream.seek(0)
            stream.truncate()
