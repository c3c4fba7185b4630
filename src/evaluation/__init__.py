"""Evaluation: from a trained model to predictions, numbers and pictures."""
