"""The sequence of a teacher and of students with and without it, and its table."""
