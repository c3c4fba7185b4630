"""Distillation: a student learns from what trained teachers say of the clips that it sees."""
