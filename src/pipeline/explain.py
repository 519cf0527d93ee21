"""Explain new samples by a trained model. `python -m pipeline.explain +variant=NAME samples=FILE`, or `run=ID`"""

import dataclasses

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from pipeline.execution.command_line import command
from pipeline.execution.start_tensorflow import import_tensorflow
from pipeline.measures import explain_samples
from pipeline.results import explained_files, folders, splits
from pipeline.results.explained_files import Explained
from pipeline.results.padding import padded, some_valid
from pipeline.results.stage_files import read_training
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Config, Study
from pipeline.settings.study import load_variant, params
from pipeline.settings.validation import refused
from pipeline.tasks.new_samples import check_shape, samples_in
from pipeline.tasks.user_scale import scales_of
from pipeline.tracking import lookup


def explain(variant: str, x: NDArray[np.floating], seed: int | None = None) -> Explained:
    """Return what a trained model of the study says of samples, and by which step and feature.

    Args:
        variant: name of a variant of the study, which was trained.
        x: the samples, (samples, steps, features), as the training samples are.
        seed: of the model; None: the first of the study.

    Returns:
        Arrays by sample, step and feature: see `Explained`.

    Raises:
        UserError: if there is no such model, the samples do not fit it, or `explain.target` is no class.
    """
    return _explain(dataclasses.replace(params(), variant=load_variant(variant)), x, seed)[0]


def _explain(study: Study, x: NDArray[np.floating], seed: int | None) -> tuple[Explained, int, tuple[str, ...]]:
    """Return what a model says of samples, its seed, and the names of its classes, if they have names."""
    found = check_shape(x, study.data.shape, study.padded)
    chosen = study.seeds[0] if seed is None else seed
    if chosen not in study.seeds:
        raise UserError(refused("seed", chosen, f"one of {', '.join(map(str, study.seeds))}"))
    with folders.reading(study, "models") as folder:
        trained = read_training(folder)[chosen]
    split = splits.load(study, "train")
    training, scales = split.rows("x", 0, study.explain.readout_samples), scales_of(split)
    import_tensorflow()
    rng, scaled = default_rng((study.explain.seed, chosen)), scales["x"].applied(found) if "x" in scales else found
    explained = explain_samples.explain(study, trained, scaled, training, rng)
    prediction = scales["y"].undone(explained.prediction) if "y" in scales else explained.prediction
    shown = padded(found, some_valid(found), np.nan)
    return explained._replace(x=shown, prediction=prediction), chosen, trained.classes


def stage(config: Config) -> None:
    """Write arrays, figures and a page."""
    if config.samples is None:
        raise UserError("samples has no value: name a file of new samples, such as samples=new.npz.")
    study, chosen = (config, config.seed) if config.run is None else lookup.model_of(config)
    name = study.chosen_variant().name
    explained, seed, classes = _explain(study, samples_in(config.samples), chosen)
    from pipeline.report import explained_page  # here, since matplotlib takes time that a mistake need not

    title = f"Which step, which feature: {name}, seed {seed}"
    target = ROOT / (config.results or f"{folders.OUTPUTS}/explained/{name}")
    with folders.added_to(target) as folder:
        explained_files.write_explained(folder, explained)
        explained_page.write(folder, explained, title, None if study.regression else classes or ("label 0", "label 1"))
    print(f"{len(explained.x)} samples are explained in {folders.shown(target)}/index.html and explained.npz.")


main = command(stage)

if __name__ == "__main__":
    main()
