"""Explain new samples by a trained model. `python -m pipeline.explain +variant=NAME samples=FILE`, or `run=ID`"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipeline.execution.command_line import command
from pipeline.execution.start_tensorflow import import_tensorflow
from pipeline.measures import cost, explain_samples
from pipeline.results import explained_files, folders, splits
from pipeline.results.explained_files import AgainstMask, Explained, Row
from pipeline.results.padding import padded, some_valid
from pipeline.results.stage_files import TrainedSeed, read_training
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Config, Study, Variant
from pipeline.settings.study import load_variant, params
from pipeline.settings.validation import refused
from pipeline.tasks.new_samples import check_mask, check_shape, samples_in
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
    study = dataclasses.replace(params(), variant=load_variant(variant))
    found = check_shape(x, study.data.shape, study.padded)
    return _explain(study, _model_of(study, seed)[2], found)


def measured(variant: str, explained: Explained, mask: NDArray[np.bool_]) -> list[Row]:
    """Return how well the maps of samples find what a mask marks, a row for each map: see `explain_samples.measured`.

    Args:
        variant: name of the variant that explained them.
        explained: what `explain` returned.
        mask: true at the steps that determine the label, (samples, steps), or at their features, like the samples.
    """
    return _measured(load_variant(variant), explained, check_mask(mask, explained.x))


def _model_of(study: Study, seed: int | None) -> tuple[Study, int, TrainedSeed]:
    """Return a study with a variant, the seed of the model that is asked, and that model."""
    chosen = study.seeds[0] if seed is None else seed
    if chosen not in study.seeds:
        raise UserError(refused("seed", chosen, f"one of {', '.join(map(str, study.seeds))}"))
    with folders.reading(study, "models") as folder:
        return study, chosen, read_training(folder)[chosen]


def _measured(variant: Variant, explained: Explained, mask: NDArray[np.bool_]) -> list[Row]:
    """Return the measures of maps; attention of the article's layer before the LSTM has a weight for each feature."""
    attends_features = variant.placement == "before" and variant.attention is None
    return explain_samples.measured(explained, mask, attends_features)


def _explain(study: Study, trained: TrainedSeed, found: NDArray[np.float32]) -> Explained:
    """Return what a model says of samples."""
    split = splits.load(study, "train")
    training, scales = split.rows("x", 0, cost.fitted(study)), scales_of(split)
    import_tensorflow()
    scaled = scales["x"].applied(found) if "x" in scales else found
    explained = explain_samples.explain(study, trained, scaled, training)
    prediction = scales["y"].undone(explained.prediction) if "y" in scales else explained.prediction
    shown = padded(found, some_valid(found), np.nan)
    return explained._replace(x=shown, prediction=prediction)


def stage(config: Config) -> None:
    """Write arrays, figures and a page."""
    if config.samples is None:
        raise UserError("samples has no value: name a file of new samples, such as samples=new.npz.")
    x, mask = samples_in(config.samples)
    study, seed, trained = _model_of(config, config.seed) if config.run is None else lookup.model_of(config)
    variant, found = study.chosen_variant(), check_shape(x, study.data.shape, study.padded)
    marked = None if mask is None else check_mask(mask, found)
    explained = _explain(study, trained, found)
    against = None if marked is None else AgainstMask(marked, _measured(variant, explained, marked))
    from pipeline.report import explained_page  # here, since matplotlib takes time that a mistake need not

    title = f"Which step, which feature: {variant.name}, seed {seed}"
    target = ROOT / (config.results or f"{folders.OUTPUTS}/explained/{variant.name}")
    classes = None if study.regression else trained.classes or ("label 0", "label 1")
    with folders.added_to(target) as folder:
        explained_files.write_explained(folder, explained, against)
        explained_page.write(folder, explained, title, classes, against)
    if against is None:
        (target / explained_files.MEASURES).unlink(missing_ok=True)  # those of other samples
    print(f"{len(explained.x)} samples are explained in {folders.shown(target)}/index.html and explained.npz.")


main = command(stage)

if __name__ == "__main__":
    main()
