"""Export of a trained model from PyTorch: an equivalent network with fewer operations, as ONNX and OpenVINO files."""
