"""The files of cached teacher outputs, which runs share."""

from pathlib import Path

OUTPUT_FOLDER = "teacher_outputs"  # in an output folder, and in the folder of a data set of a sequence


class TeacherOutputFiles:
    """The paths of the files of one cache."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outputs = path / "outputs.npy"
        self.header = path / "outputs.json"  # written last: it marks the outputs as complete
        self.progress = path / "progress.json"

    def all(self) -> tuple[Path, Path, Path]:
        """Return the paths of all files that a cache can have."""
        return self.outputs, self.header, self.progress
