"""The errors of the operating system in words for users; no other module reads the system's own text."""

import errno

# An error whose text by the system is as plain, as of a missing file, is not here; nor is an input/output error, since
# it is unknown whether a disk, a connection or a terminal failed.
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission was denied",
    errno.EPERM: "permission was denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.EEXIST: "a file of that name is in the way",
    errno.ENAMETOOLONG: "a name in the path is too long",
    errno.EMFILE: "too many files are open (`ulimit -n` raises the limit)",
}
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def reason(error: Exception) -> str:
    """Return the cause of an error: in plain words if a user can resolve it, else as the system gives it.

    Args:
        error: an error of the system; of any other, the cause is its text.
    """
    if not isinstance(error, OSError):
        return str(error)
    return _REASONS.get(error.errno or 0, "") or error.strerror or str(error)


def is_resolvable(error: OSError) -> bool:
    """Return whether the cause of an error is one that a user can resolve, such as a full disk."""
    return error.errno in _REASONS


def is_lack_of_space(error: OSError) -> bool:
    """Return whether an error is that of a full disk, or of a quota that is used up."""
    return error.errno in _NO_SPACE
