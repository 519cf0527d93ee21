"""How a stage is started, spread over processes or machines, interrupted and resumed."""
