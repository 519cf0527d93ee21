"""The models: attention layers, a model built and compiled, one seed trained and scored."""
