"""Exports autoencoders as ONNX graphs, and prepared data in the layouts that other trainers read."""
