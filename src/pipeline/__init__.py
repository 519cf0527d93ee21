"""Does attention capture the key feature? A reproducible, tracked experiment.

Importing the package sets what must be in the environment before TensorFlow, MLflow or DVC is imported:
telemetry off, start-up chatter off, and arithmetic that does not depend on the machine.
A value that is already set in the environment is left alone.
"""

import os
import platform

_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # oneDNN and wide vector units round differently from machine to machine; these models gain nothing from them.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
if platform.machine() in ("x86_64", "AMD64"):
    _ENVIRONMENT["XLA_FLAGS"] = "--xla_cpu_max_isa=AVX2"

for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
