"""The settings: their types and bounds, what params.yaml and conf/ say, and the user's code that they name."""
