"""What a run is on the disk: its folder, checkpoints, logbook, history, and where it can be resumed."""
