"""Servers for tests, whose packages are imported only for tests that use them, because that takes a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from deploy_probes import SharedExport

if TYPE_CHECKING:
    from serve_probes import Running

    from last.serve.workers import SharedRecognizer


@pytest.fixture(scope="session")
def recognizer(shared_export: SharedExport) -> SharedRecognizer:
    """Return the model that the servers of tests run."""
    from last.serve.workers import SharedRecognizer

    return SharedRecognizer(shared_export.model, 1)


@pytest.fixture
def start(recognizer: SharedRecognizer) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a server with limits; it ends with the test."""
    from serve_probes import running

    with ExitStack() as stack:
        yield lambda access=None, **limits: stack.enter_context(running(recognizer, access, **limits))


@pytest.fixture(scope="session")
def server(recognizer: SharedRecognizer) -> Iterator[Running]:
    """Return a server for tests that leave it as it was."""
    from serve_probes import running

    with running(recognizer, max_per_address=64) as found:
        yield found
