"""Does attention capture the key feature? A reproducible, tracked experiment.

Importing the package sets what must be in the environment before TensorFlow, MLflow or DVC is imported:
telemetry off, start-up chatter off, arithmetic that does not depend on the machine, and how memory is kept.
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
    # Worker processes keep the memory of a training step for the next one. glibc would hand it back to the system
    # and fault it in again, some 450 pages a step: nearly half of the training time.
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
}
if platform.machine() in ("x86_64", "AMD64"):
    _ENVIRONMENT["XLA_FLAGS"] = "--xla_cpu_max_isa=AVX2"

for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
