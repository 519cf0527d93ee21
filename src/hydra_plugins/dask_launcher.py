"""Hydra's jobs on a Dask cluster: `hydra/launcher=dask`. Hydra finds its launchers in the package hydra_plugins.

A job runs as a whole on one worker, which reads and writes in the project's folder, so that all must share it.
"""

import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict


@dataclass
class _Settings:
    _target_: str = "hydra_plugins.dask_launcher.DaskLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="dask", node=_Settings)


class DaskLauncher(Launcher):
    """Runs the jobs of a sweep on the workers of the cluster that the configuration names as `cluster`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs are made from."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, and return what became of them, which is that all ended well.

        Raises:
            UserError: if the cluster cannot be used, or a job ended with a mistake of the user's.
        """
        from pipeline import fingerprint, runtime
        from pipeline.config import UserError

        address = self._config.cluster
        if not address:
            how = "set DASK_SCHEDULER_ADDRESS, or cluster=tcp://HOST:PORT"
            raise UserError(f"cluster is {address}: hydra/launcher=dask needs the address of one; {how}.")
        words = [list(overrides) for overrides in job_overrides]
        jobs = {number: self._composed(number, told) for number, told in enumerate(words, initial_job_idx)}

        def tell(number: int, result: object) -> None:
            told = " ".join(filter_overrides(words[number - initial_job_idx]))
            print(f"-- {number + 1} of {initial_job_idx + len(jobs)} is done: {told}", flush=True)

        with fingerprint.shared_folder() as path:
            own = [OmegaConf.to_container(config[name]) for config in jobs.values() for name in ("task", "variant")]
            agreed = fingerprint.Jobs(path, own)
            pool = runtime.Pool(None, "sweep", "jobs", received=tell, cluster=address, fingerprint=agreed.told)
            runtime.each(_run, {number: (self._task, config) for number, config in jobs.items()}, pool)
        return [_ended(config, told) for config, told in zip(jobs.values(), words, strict=True)]

    def _composed(self, number: int, overrides: list[str]) -> DictConfig:
        """Return the configuration of a job, without anything that a worker would take from its own environment."""
        from pipeline.connection import shared

        whole = self._context.config_loader.load_sweep_config(self._config, overrides)
        with open_dict(whole):
            hydra = whole.pop("hydra")
            hydra.job.id, hydra.job.num = str(number), number
            OmegaConf.resolve(whole)
            whole.cluster, whole.workers = None, 1  # it is on a worker already
            whole.tracking.uri = shared(whole.tracking.uri)
            whole.hydra = hydra
        return whole


def _run(task: TaskFunction, config: DictConfig) -> None:
    """Run a job, on a worker."""
    from pipeline import choices, command
    from pipeline.config import UserError

    choices.params.cache_clear()  # params.yaml may have changed since this worker ran another job
    HydraConfig.instance().set_config(config)
    sys.argv[1:] = config.hydra.overrides.task  # what a remedy repeats
    values = deepcopy(config)
    with open_dict(values):
        del values["hydra"]
    mistake = ""
    try:
        task(values)
    except SystemExit as end:
        mistake = command.explain(end.__cause__) if isinstance(end.__cause__, Exception) else "a job ended itself."
    if mistake:  # told where the sweep was started
        raise UserError(mistake)


def _ended(config: DictConfig, overrides: list[str]) -> JobReturn:
    settings: Any = OmegaConf.create({"hydra": config.hydra})
    name = config.hydra.job.name
    return JobReturn(overrides, config, settings, str(Path.cwd()), name, JobStatus.COMPLETED, None)
