"""What the server answers over HTTP."""

import json
import re

import numpy as np
import pytest
from serve_probes import Running, Starts, clip

from last.serve.gate import Access
from last.serve.workers import SharedRecognizer

NESTED = clip().tolist()


def test_a_clip_is_classified_as_in_this_process(server: Running, recognizer: SharedRecognizer) -> None:
    answer = server.predict({"joints": NESTED})
    expected = recognizer(clip())
    assert answer.status == 200
    assert answer.json["label"] == expected.label
    assert answer.json["probabilities"] == pytest.approx(dict(expected.probabilities))
    assert list(answer.json["probabilities"]) == list(expected.probabilities)


def test_several_bodies_null_and_confidences_mean_what_they_mean_in_this_process(
    server: Running, recognizer: SharedRecognizer
) -> None:
    joints = np.stack([clip(), clip(seed=1)])
    joints[0, 3, 4] = np.nan
    joints[1, :5] = np.nan
    confidence = np.random.default_rng(2).uniform(0.2, 1, joints.shape[:3])
    nested = joints.tolist()
    nested[0][3][4] = None
    nested[1][:5] = [None] * 5
    answer = server.predict({"joints": nested, "confidence": confidence.tolist(), "top": 2})
    expected = dict(list(recognizer(joints, confidence).probabilities.items())[:2])
    assert answer.json["probabilities"] == pytest.approx(expected)


def replaced(value: object) -> bytes:
    nested = clip().tolist()
    nested[2][3][1] = value
    return json.dumps({"joints": nested}).encode()


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"joints": ' * 5000 + b"1" + b"}" * 5000, 400, "JSON"),
        (b"null", 422, "the message"),
        (b"{}", 422, "joints"),
        ({"joints": 3}, 422, "joints"),
        ({"joints": []}, 422, r"sizes \(0,\)"),
        ({"joints": [[]]}, 422, "sizes"),
        ({"joints": [[[[[1.0]]]]]}, 422, "sizes"),
        ({"joints": clip()[:, :24].tolist()}, 422, r"sizes \(12, 24, 3\); they should have \(., 25, 3\)"),
        ({"joints": clip()[..., :2].tolist()}, 422, r"sizes \(12, 25, 2\)"),
        ({"joints": [NESTED[0], NESTED[1][:7]]}, 422, "a list of 7"),
        ({"joints": [NESTED, NESTED[:5]]}, 422, "a list of 5"),
        ({"joints": [[None] * 25] * 4}, 422, "No body"),
        ({"joints": [None] * 4}, 422, "sizes"),
        ({"joints": [[{}] * 25]}, 422, "sizes"),
        ({"joints": [[{}] * 25] * 4}, 422, "sizes"),
        ({"joints": [[[{}] * 3] * 25]}, 422, "a number"),
        (replaced(float("nan")), 422, "finite"),
        (replaced(float("inf")), 422, "finite"),
        (replaced(10**400), 422, "too large|finite"),
        (replaced(1e7), 422, "Coordinates should be up to"),
        (replaced("1.0"), 422, "a number"),
        (replaced(True), 422, "a number"),
        (replaced([1.0]), 422, "a number"),
        ({"joints": NESTED, "confidence": [1.0]}, 422, "sizes"),
        ({"joints": NESTED, "confidence": np.ones((11, 25)).tolist()}, 422, "confidences"),
        ({"joints": NESTED, "top": 0}, 422, "top"),
        ({"joints": NESTED, "\ud800": 0}, 422, ""),
        ({"joints": NESTED, "bodies": 1}, 422, "bodies"),
    ],
)  # fmt: skip
def test_impossible_content_is_refused_with_what_is_wrong(
    server: Running, content: object, status: int, error: str
) -> None:
    answer = server.predict(content)
    assert answer.status in (status, 400) if error == "" else answer.status == status, answer
    assert re.search(error, answer.json["error"]), answer.json


@pytest.mark.parametrize("bodies, frames", [(11, 2), (1, 3001), (100, 1)])
def test_more_bodies_or_frames_than_the_limits_are_refused(server: Running, bodies: int, frames: int) -> None:
    answer = server.predict({"joints": np.ones((bodies, frames, 25, 3)).tolist()})
    assert answer.status == 422
    assert "this server takes 1 to" in answer.json["error"]


def test_content_that_is_not_named_as_json_is_refused_since_any_web_page_can_send_it(server: Running) -> None:
    body = json.dumps({"joints": NESTED})
    assert server.request("POST", "/v1/predict", body, Content_Type="text/plain").status == 415


def test_the_model_the_health_and_the_description_are_told(server: Running, recognizer: SharedRecognizer) -> None:
    model = server.request("GET", "/v1/model").json
    assert tuple(model["classes"]) == recognizer.classes
    assert (model["layout"], len(model["joints"]), model["bodies"]) == ("ntu25", 25, recognizer.facts.bodies)
    assert server.request("GET", "/health").json["status"] == "ok"
    paths = server.request("GET", "/openapi.json").json["paths"]
    assert {"/v1/predict", "/v1/model", "/health", "/metrics"} == set(paths)
    assert paths["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["joints"]


def test_unknown_paths_and_methods_are_refused_in_the_same_form(server: Running) -> None:
    assert server.request("GET", "/v1/predict").json == {"error": "Method Not Allowed"}
    assert server.request("GET", "/nothing").json == {"error": "Not Found"}
    assert server.request("GET", "/docs").status == 404  # its page would load scripts from elsewhere


def test_the_metrics_count_requests_and_do_not_grow_with_invented_paths(start: Starts) -> None:
    found = start()
    for number in range(30):
        found.request("GET", f"/invented{number}")
    found.predict({"joints": NESTED})
    assert found.metric('last_requests_total{path="/v1/predict",status="200"}') == 1
    assert found.metric('last_requests_total{path="other",status="404"}') == 30
    assert b"invented" not in found.request("GET", "/metrics").body


def test_a_defect_is_answered_with_500_and_not_with_its_details(start: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(SharedRecognizer, "probabilities", fail)
    found = start(Access())
    answer = found.predict({"joints": NESTED})
    assert (answer.status, b"secret" in answer.body) == (500, False)
    assert found.request("GET", "/health").status == 200
