"""The parameters of a study: their types and bounds, what params.yaml and conf/ say, and code of the user's own."""
