"""Run stages that standard input names, each in a fork of this process, and kill them (test_attack.py).

Each line is a list: the words of a command; after how many file operations and after how many seconds it is killed,
each a number or null; and a file for the inode and size of every file that reaches the disk. The answer is the exit
code, negative after a kill, and what was printed.
"""

import json
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

from pipeline.execution.start_tensorflow import import_tensorflow

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def watch(operations: int | None, log: Path) -> None:
    """Note what reaches the disk, and kill this process before a file operation."""
    sync, done = os.fsync, 0

    def fsync(handle: int) -> None:
        sync(handle)
        state = os.fstat(handle)
        with log.open("a") as file:
            file.write(f"{state.st_ino} {state.st_size}\n")

    def count(event: str, words: tuple) -> None:
        nonlocal done
        if event in OPERATIONS and str(log) != str(words[0]):
            done += 1
            if done == operations:
                os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync
    if operations:
        sys.addaudithook(count)


def run(words: list[str], operations: int | None, seconds: float | None, log: str) -> tuple[int, str]:
    """Run a stage in a fork, and return its exit code and what it printed."""
    with TemporaryFile() as said:
        if not (child := os.fork()):
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = words
            watch(operations, Path(log))
            code = 0
            try:
                import_module(f"pipeline.{words[0]}").main()
            except SystemExit as error:
                code = error.code or 0
            sys.stdout.flush()
            os._exit(code)
        deadline = time.monotonic() + (seconds or 600)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        said.seek(0)
        return os.waitstatus_to_exitcode(ended[1]), said.read().decode()


if __name__ == "__main__":
    import_tensorflow()
    for name in ("dataset", "define", "train", "analyze", "controls", "compare"):
        import_module(f"pipeline.{name}")
    for line in sys.stdin:
        print(json.dumps(run(*json.loads(line))), flush=True)
