"""Distillation of trained teachers into a student."""
