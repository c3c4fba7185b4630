"""Write a trained model for ONNX Runtime and OpenVINO: the same program as `python -m last export`."""

import sys

from _run import run

if __name__ == "__main__":
    sys.exit(run("export"))
