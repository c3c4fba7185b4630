"""A training sequence: a teacher, its students with and without distillation, and the table of their results."""
