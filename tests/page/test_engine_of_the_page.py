"""The page's side of the worker that runs models."""

from node_probes import ROOT, answer

PROGRAM = f"""
globalThis.Worker = class {{
  postMessage({{ id, act, given }}) {{
    told.push([act, given.name]);
    if (this.isSilent) return;
    queueMicrotask(() => this.onmessage({{ data: {{ id, result: {{ inputs: [], outputs: [] }} }} }}));
  }}
}};
const told = [];
const {{ Engine }} = await import("{(ROOT / "demo/src/engine/engine.js").as_uri()}");
const engine = new Engine("worker.js");
const failed = (promise) => promise.then(() => "", (error) => error.message);
"""


def test_models_that_are_opened_at_the_same_time_have_sessions_of_their_own() -> None:
    program = """
const [one, other] = await Promise.all([engine.open(new Uint8Array(1)), engine.open(new Uint8Array(1))]);
console.log(JSON.stringify([one.session, other.session, told]));
"""
    one, other, told = answer(PROGRAM + program)
    assert one != other and told == [["open", one], ["open", other]]


def test_a_worker_that_could_not_be_loaded_fails_what_waits_and_all_that_comes_later() -> None:
    program = """
engine.worker.isSilent = true;
const before = failed(engine.open(new Uint8Array(1)));
engine.worker.onerror({ preventDefault() {}, message: "status 404" });
const later = failed(engine.open(new Uint8Array(1)));
console.log(JSON.stringify([await before, await later]));
"""
    assert answer(PROGRAM + program) == ["The runtime of models reports: status 404"] * 2
