"""Taking a trained model out of PyTorch: an equal network with fewer operations, as an ONNX and an OpenVINO file."""
