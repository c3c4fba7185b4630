"""Prepared data on disk: format, reader, writer, search, and the train/test protocols."""
