"""The application: what is answered at which path."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from ..deploy.recognizer import Recognizer
from ..utils.errors import UserError
from ..version import __version__
from .gate import HEALTH, STREAM, SUBPROTOCOL, Access, Gate
from .joints import array_of
from .limits import Guard, ServeLimits, network_of
from .metrics import CONTENT_TYPE, Metrics
from .page_files import HEADERS, PageFile, page_files
from .schemas import (
    ClipAnswer,
    ClipRequest,
    ErrorAnswer,
    HealthAnswer,
    ModelAnswer,
    clip_schema,
    is_no_json,
    problems_of,
)
from .streams import Stream
from .workers import Busy, Workers

_JSON = "application/json"
_ABOUT = """Recognises human actions from skeletons. Clips are sent to `/v1/predict`, frames of a stream over a
WebSocket to `/v1/stream`, which OpenAPI cannot describe: the documentation of LAST does, on the page on serving."""
_REFUSALS = {
    400: "no JSON, or no HTTP", 401: "no token", 403: "a web page of another origin", 408: "arrived too slowly",
    413: "too large", 415: "not application/json", 421: "another host name", 422: "impossible content",
    429: "too many requests", 503: "too busy",
}  # fmt: skip
_OF_EVERY_PATH = (400, 401, 403, 408, 413, 421, 429, 503)


@dataclass
class Service:
    """What the paths share."""

    recognizers: Sequence[Recognizer]
    limits: ServeLimits
    guard: Guard
    metrics: Metrics
    clips: Workers
    streams: Workers

    def __post_init__(self) -> None:
        self._in_turn = cycle(self.recognizers)

    def recognizer(self) -> Recognizer:
        """Return each of the recognizers in turn, which all have the same model."""
        return next(self._in_turn)

    def classify(self, body: bytes) -> ClipAnswer:
        """Classify the clip in a request.

        Raises:
            ValidationError, UserError: it is no clip that the model takes.
        """
        recognizer = self.recognizer()
        joints, confidence, top = self._clip(body)
        prediction = recognizer(joints, confidence)
        ranked = dict(list(prediction.probabilities.items())[:top])
        return ClipAnswer(label=prediction.label, probability=prediction.probability, probabilities=ranked)

    def _clip(self, body: bytes) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None, int | None]:
        request = ClipRequest.model_validate_json(body)
        layout = self.recognizers[0].facts.layout
        most = (self.limits.max_bodies, self.limits.max_frames)
        joints = array_of(request.joints, (3, 4), (layout.num_joints, layout.coordinates), most)
        if request.confidence is None:
            return joints, None, request.top
        return joints, array_of(request.confidence, (joints.ndim - 1,), (layout.num_joints,), most), request.top


def create_app(
    recognizers: Sequence[Recognizer], limits: ServeLimits, access: Access, guard: Guard | None = None
) -> Gate:
    """Return the ASGI application of a server.

    Args:
        recognizers: of one model; as many clips and frames are computed at the same time. Each is used by one thread
            at a time, so that a `SharedRecognizer` is needed where the runtime of the file does not allow more.
        limits: what a client may use.
        access: who may use it.
        guard: the counts behind the limits, if connections are counted too.
    """
    metrics, number = Metrics(), len(recognizers)
    service = Service(
        recognizers, limits, guard or Guard(limits), metrics,
        Workers(number, limits.waiting), Workers(number, limits.max_connections),
    )  # fmt: skip
    metrics.waiting.set_function(lambda: service.clips.tasks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.clips.close()
        service.streams.close()

    app = FastAPI(
        title="LAST", version=__version__, description=_ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan,
        redirect_slashes=False,
        responses=_refusals(*_OF_EVERY_PATH),
    )  # fmt: skip
    _add_errors(app)
    _add_clips(app, service)
    _add_facts(app, service)
    _add_streams(app, service)
    pages = page_files()
    _add_page(app, pages)
    paths = [path for route in app.routes if (path := getattr(route, "path", None))]
    return Gate(app, service.guard, access, metrics, paths, pages)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorAnswer, "description": _REFUSALS[status]} for status in statuses}


def _answer(status: int, error: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": error}, status, headers)


def _add_errors(app: FastAPI) -> None:
    """Answer every error in the same form."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        return _answer(error.status_code, str(error.detail), dict(error.headers or {}))

    async def unusable(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, ValidationError):
            return _answer(400 if is_no_json(error) else 422, problems_of(error))
        return _answer(422, str(error))

    async def failed(_: Request, __: Exception) -> JSONResponse:  # uvicorn writes the traceback to the log
        return _answer(500, "The server failed; its log has the reason.")

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        StarletteHTTPException: refused, ValidationError: unusable, RequestValidationError: unusable,
        UserError: unusable, Exception: failed,
    }  # fmt: skip
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _add_clips(app: FastAPI, service: Service) -> None:
    schema = clip_schema(service.recognizers[0].facts.layout, service.limits)

    @app.post(
        "/v1/predict",
        responses=_refusals(415, 422),
        openapi_extra={"requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}},
    )
    async def predict(request: Request) -> ClipAnswer:
        """Classify a clip."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON:  # which no web page can send to another origin without asking first
            raise HTTPException(415, f"The content of a request should be {_JSON}.")
        try:
            client = network_of(request.client.host if request.client else "")
            return await service.clips.run(service.classify, await request.body(), client=client)
        except Busy as error:
            service.metrics.refused.labels("busy").inc()
            raise HTTPException(503, "Too many clips wait to be classified.", {"Retry-After": "1"}) from error


def _add_facts(app: FastAPI, service: Service) -> None:
    facts = service.recognizers[0].facts
    model = ModelAnswer(
        model=facts.model, classes=list(facts.classes), layout=facts.layout.name, joints=list(facts.layout.joints),
        coordinates=facts.layout.coordinates, bodies=facts.bodies, frame_rate=facts.frame_rate,
        min_confidence=facts.min_confidence, limits=asdict(service.limits),
    )  # fmt: skip

    @app.get("/v1/model")
    async def describe() -> ModelAnswer:
        """Say what the server runs, and what it takes."""
        return model

    @app.head(HEALTH, include_in_schema=False)
    @app.get(HEALTH)
    async def health() -> HealthAnswer:
        """Say that the server answers. This needs no token."""
        return HealthAnswer(status="ok", version=__version__)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Return what the server counts, in the text format of Prometheus."""
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _add_page(app: FastAPI, pages: Mapping[str, PageFile]) -> None:
    async def page_file(request: Request) -> Response:
        file = pages[request.url.path]
        return Response(file.content, headers={**HEADERS, "Content-Type": file.kind})

    for path in pages:
        app.add_route(path, page_file, methods=["GET"])


def _add_streams(app: FastAPI, service: Service) -> None:
    @app.websocket(STREAM)
    async def stream(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await Stream(socket, service.recognizer(), service.streams, service.limits, service.metrics).run()
