"""Does attention capture the key feature? A reproducible, tracked experiment.

Importing the package sets what must be in the environment before TensorFlow, MLflow or DVC is imported:
telemetry off, start-up chatter off, and arithmetic that does not depend on the machine.
A value that is already set in the environment is left alone.
"""

import os
import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Python is about to run a stage: Ctrl-C ends its imports without a traceback (`execution/signals.py` goes on).
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import platform

_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Arithmetic with the same last digit on any x86-64 processor: without what is chosen by the processor.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "false",  # oneDNN's product of matrices
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX512_ICL AVX512_SPR X86_V4",  # names of NumPy 2.1 to 2.4
}
_XLA_FLAGS = [
    # The loop over the time steps would copy what it reads and writes, once more in each step: a tenth of the time.
    "--xla_cpu_copy_insertion_use_region_analysis=true",
    "--xla_backend_extra_options=xla_cpu_disable_platform_dependent_math",  # such as an approximate square root
    "--xla_cpu_experimental_ynn_fusion_type=",  # no YNNPACK, whose kernels depend on the machine, too
]
if platform.machine() in ("x86_64", "AMD64"):
    _XLA_FLAGS.append("--xla_cpu_max_isa=AVX2")
_ENVIRONMENT["XLA_FLAGS"] = " ".join(_XLA_FLAGS)

for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
