"""What every part may use and what depends on no part: errors, files, progress, configuration files."""
