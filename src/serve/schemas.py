"""What clients send and get, as JSON.

Legend: M bodies, F frames, V joints, C coordinates.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..deploy.arrays import LARGEST_SCORE
from ..skeleton import Layout
from .limits import LONGEST_ID, ServeLimits

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_MOST_PROBLEMS = 5
_EXACT = 2**53  # integers up to this are exact in every JSON parser
_LATEST = 1e11  # seconds, which is the year 5138

Lists = list[Any]
BodyId = Annotated[int, Field(ge=-_EXACT, le=_EXACT)] | Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]


class ClipRequest(BaseModel):
    """A clip: joints as recorded, [frames][joints][coordinates], or the same for each body.

    `null` stands for a missing joint, and for a whole frame of a body that is absent. A joint whose confidence is below
    the `min_confidence` of the model is missing.
    """

    model_config = _STRICT
    joints: Lists
    confidence: Lists | None = None
    top: int | None = Field(default=None, ge=1, le=1_000_000, description="return the most probable classes only")


class StreamMessage(BaseModel):
    """A message of a client of a stream: settings, which may come first; a frame; or the end."""

    model_config = _STRICT
    joints: Lists | None = None
    body: BodyId | Annotated[list[BodyId], Field(max_length=100)] | None = None
    time: float | None = Field(default=None, ge=-_LATEST, le=_LATEST)
    confidence: Lists | None = None
    settings: dict[str, int | float] | None = None
    finish: bool = False

    @model_validator(mode="after")
    def _is_one_thing(self) -> "StreamMessage":
        if (self.joints is not None) + (self.settings is not None) + self.finish != 1:
            raise ValueError("a message should have either joints, or settings, or finish")
        return self


class ClipAnswer(BaseModel):
    """What the model says about a clip."""

    label: str = Field(description="the most probable class")
    probability: float = Field(description="that of the label")
    probabilities: dict[str, float] = Field(description="of the classes, the most probable first")


class ModelAnswer(BaseModel):
    """What the server runs, and what it takes."""

    model: str
    classes: list[str]
    layout: str
    joints: list[str]
    coordinates: int
    bodies: int = Field(description="how many the model looks at together")
    frame_rate: float = Field(description="of the clips it was trained on; 0 if it is unknown")
    min_confidence: float
    limits: dict[str, float]


class HealthAnswer(BaseModel):
    """That the server answers."""

    status: str
    version: str


class ErrorAnswer(BaseModel):
    """Why a request was refused."""

    error: str


def problems_of(error: ValidationError) -> str:
    """Return the problems that pydantic found, without what the client sent."""
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where, what = _problem(each["loc"], each["msg"])
        found.setdefault(where, what)  # a value that is none of several kinds has a problem for each of them
    texts = [f"{where}: {what}" for where, what in found.items()]
    return "; ".join(texts[:_MOST_PROBLEMS]) + ("; ..." if len(texts) > _MOST_PROBLEMS else "")


def _problem(place: tuple[int | str, ...], message: str) -> tuple[str, str]:
    """Return where a problem is, and what should be there."""
    if place[:1] == ("body",):
        return (
            "body",
            f"should be a whole number, a text of 1 to {LONGEST_ID} characters, or a list of up to 100 of these",
        )
    if place[:1] == ("settings",) and len(place) > 1:
        return f"settings.{place[1]}", "should be a number"
    text = message.removeprefix("Value error, ").replace("Input should", "should", 1)
    return ".".join(map(str, place)) or "the message", text


def is_no_json(error: ValidationError) -> bool:
    """Return whether a text was no JSON at all."""
    return any(each["type"] == "json_invalid" for each in error.errors(include_url=False, include_input=False))


def clip_schema(layout: Layout, limits: ServeLimits) -> dict[str, Any]:
    """Return the JSON schema of `ClipRequest`, with the sizes that a model and a server take."""

    def listed(entry: dict[str, Any], least: int, most: int) -> dict[str, Any]:
        return {"type": "array", "items": entry, "minItems": least, "maxItems": most}

    def perhaps(entry: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [entry, {"type": "null"}]}

    def of_clip(entry: dict[str, Any]) -> dict[str, Any]:
        frames = listed(perhaps(listed(perhaps(entry), layout.num_joints, layout.num_joints)), 1, limits.max_frames)
        return {"anyOf": [frames, listed(frames, 1, limits.max_bodies)]}

    schema = ClipRequest.model_json_schema()
    number = perhaps({"type": "number", "minimum": -1e6, "maximum": 1e6})
    schema["properties"]["joints"] = of_clip(listed(number, layout.coordinates, layout.coordinates))
    share = {"type": "number", "minimum": 0, "maximum": LARGEST_SCORE}
    schema["properties"]["confidence"] = perhaps(of_clip(share))
    return schema
