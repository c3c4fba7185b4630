"""Pictures of skeletons, curves and confusion matrices; they know no run."""
