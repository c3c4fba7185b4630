// Recognise what several people do in a stream of frames: `last.StreamRecognizer` in JavaScript.
//
// `accept` takes a frame and returns what the model is to be given for each person who is due to be classified, and
// `decide` says what follows from the model's answer. So frames go on coming while the model computes.
// Legend: V joints, C coordinates, K classes.

import { ActionState, NONE } from "./actions.js";
import { History } from "./history.js";
import { DEFAULTS } from "./settings.js";
import { assign, mutualPairs, positionOf, sizeOf } from "./tracking.js";

const RATE = 30; // frames per second, where the model has no rate
const FASTEST = 240; // frames per second for which a buffer has room
const SHORTEST_STEP_S = 0.9 / FASTEST;
const KEPT_SIZE = 0.99; // of a body that is seen in part, from frame to frame
const STEP = 0.75; // of its size: how far a body may move between two frames in which it was seen
const PAIR = 1.0; // of its size: how near a partner is
const TOGETHER_S = 0.1; // how long ago a partner was seen at most
const LOST_CLOCK = 30; // late frames in a row after which a new stream begins

/**
 * @typedef {object} Event
 * @property {"start" | "end"} kind
 * @property {any} body
 * @property {string} label
 * @property {number} probability
 * @property {number} began in seconds
 * @property {number} time when it was decided
 * @property {any} partner
 */

/** @typedef {{name: any, time: number, data: Float32Array, dims: number[]}} Window what the model is given for a person */

export class StreamRecognizer {
  /**
   * @param {any} facts the description of a model
   * @param {Partial<import("./settings.js").LiveSettings>} [settings]
   */
  constructor(facts, settings = {}) {
    this.facts = facts;
    this.settings = { ...DEFAULTS, ...settings };
    this.layout = facts.layout;
    this.rate = this.settings.rate || facts.frame_rate || RATE;
    this.thresholds = thresholdsOf(facts, this.settings.threshold);
    this.dropped = { late: 0, duplicate: 0, absent: 0, "too many": 0, "too fast": 0, brief: 0 };
    this.people = new Map();
    this.newest = -Infinity;
    this.now = -Infinity;
    this.lateInARow = 0;
    this.next = 1;
  }

  /**
   * Take a frame; return the events that it brings at once, and who is due to be classified.
   * @param {Float32Array[]} bodies joints (V, C) of each, NaN where one is missing
   * @param {any[] | null} ids who they are; null to track them
   * @param {number} time in seconds
   * @returns {{events: Event[], due: Window[]}}
   */
  accept(bodies, ids, time) {
    const events = this.advance(time);
    const present = bodies
      .map((_, number) => number)
      .filter((number) => bodies[number].some((value) => !Number.isNaN(value)));
    this.dropped.absent += bodies.length - present.length;
    const shown = present.map((number) => bodies[number]);
    const names = ids ? present.map((number) => ids[number]) : this.tracked(shown, time);
    const due = [];
    shown.forEach((joints, number) => {
      const name = this.take(names[number], joints, time, events);
      if (name === null) return;
      const person = this.people.get(name);
      if (person.frames % this.settings.every === 0 && time - person.since >= this.settings.shortest)
        due.push(this.windowOf(name));
    });
    return { events, due };
  }

  /**
   * Return what the model is given for a person, up to their newest frame.
   * @param {any} name
   * @returns {Window}
   */
  windowOf(name) {
    const person = this.people.get(name);
    const partner = this.facts.input.shape[1] > 1 ? this.partner(name) : null;
    person.partner = partner;
    const stop = person.seen;
    const bodies = this.facts.input.shape[1];
    const size = this.layout.joints.length * this.layout.coordinates;
    const parts = (partner === null ? [name] : [name, partner]).map((each) =>
      this.people.get(each).history.resampled(stop - this.settings.window, stop, this.rate, this.settings.bridge),
    );
    const frames = parts[0].length / size;
    const data = new Float32Array(bodies * parts[0].length).fill(NaN);
    parts.forEach((part, number) => {
      const used = part.subarray(Math.max(0, part.length - parts[0].length));
      data.set(used, (number + 1) * parts[0].length - used.length);
    });
    return {
      name,
      time: stop,
      data,
      dims: [1, bodies, frames, this.layout.joints.length, this.layout.coordinates],
    };
  }

  /**
   * Take the answer of the model for a person, and return the events that follow.
   * @param {any} name
   * @param {number} time of the window
   * @param {Float32Array} probabilities (K,), NaN if there was nobody
   * @returns {Event[]}
   */
  decide(name, time, probabilities) {
    const person = this.people.get(name);
    if (!person || Number.isNaN(probabilities[0])) return [];
    return person.state.update(time, probabilities).map((change) => this.event(name, change, person.partner));
  }

  /** End the stream, and return the ends of all present actions. */
  finish() {
    const events = [...this.people.keys()].flatMap((name) => this.remove(name));
    this.newest = this.now = -Infinity;
    return events;
  }

  /** Return what each present person does. */
  get bodies() {
    return [...this.people].map(([name, person]) => {
      const { action, began, smoothed } = person.state;
      const label = action === NONE ? "" : this.facts.classes[action];
      return {
        body: name,
        label,
        since: action === NONE ? person.since : began,
        smoothed,
        partner: person.partner,
      };
    });
  }

  // --- frames

  /**
   * Move the clock of the stream, and return the ends of the actions of those who are lost by then. The clock is the
   * newest time but one, so that a single frame with a wrong time does not move it.
   */
  advance(time) {
    const { window, largest_jump: largest, bridge } = this.settings;
    const ahead = time - this.newest;
    this.lateInARow = ahead < -window ? this.lateInARow + 1 : 0;
    const events = [];
    if ((ahead > largest && this.people.size) || this.lateInARow >= LOST_CLOCK) {
      events.push(...this.finish());
      this.lateInARow = 0;
    }
    this.now = Math.max(this.now, Math.min(time, this.newest));
    this.newest = Math.max(this.newest, time);
    const lost = [...this.people].filter(([, person]) => this.now - person.arrived > bridge).map(([name]) => name);
    return [...events, ...lost.flatMap((name) => this.remove(name))];
  }

  /** Return who each body of a frame is; null for someone new. */
  tracked(bodies, time) {
    const { center, coordinates } = this.layout;
    const named = bodies.map(() => null);
    const [known, reach] = [new Map(), new Map()];
    for (const [name, person] of this.people) {
      const [at, nearest] = person.history.nearest(time);
      const repeated = at === time ? bodies.findIndex((joints) => isSame(joints, nearest)) : -1;
      if (repeated >= 0) named[repeated] = name;
      else if (at !== time && Math.abs(time - at) <= this.settings.bridge) {
        known.set(name, positionOf(nearest, coordinates, center));
        reach.set(name, STEP * person.size);
      }
    }
    const others = bodies.map((_, number) => number).filter((number) => named[number] === null);
    const positions = others.map((number) => positionOf(bodies[number], coordinates, center));
    const limits = others.map((number) => STEP * sizeOf(bodies[number], coordinates));
    assign(positions, limits, known, reach).forEach((name, place) => (named[others[place]] = name));
    return named;
  }

  /** Add a frame of a person, null for someone new; return who it is if it is their newest frame, else null. */
  take(given, joints, time, events) {
    const { window, bridge, most_bodies: most } = this.settings;
    if (time < this.newest - window) {
      this.dropped.late += 1;
      return null;
    }
    let name = given;
    if (this.people.has(name) && time - this.people.get(name).seen > bridge) events.push(...this.remove(name));
    if (!this.people.has(name)) {
      if (this.people.size >= most) {
        this.dropped["too many"] += 1;
        return null;
      }
      name ??= this.newName();
      this.people.set(name, this.newPerson(time));
    }
    return this.add(this.people.get(name), joints, time) ? name : null;
  }

  newName() {
    while (this.people.has(this.next)) this.next += 1; // as an id that was given
    return this.next++;
  }

  newPerson(time) {
    const { joints, coordinates } = this.layout;
    const capacity = Math.max(2, Math.ceil(this.settings.window * FASTEST));
    return {
      history: new History(capacity, joints.length, coordinates),
      state: new ActionState(this.thresholds, this.settings),
      position: new Array(coordinates).fill(NaN),
      size: 0,
      seen: -Infinity,
      since: time,
      arrived: time,
      frames: this.people.size % this.settings.every, // so that not all are classified at the same frame
      taken: 0,
      partner: null,
    };
  }

  add(person, joints, time) {
    const isNewest = time > person.history.newest;
    const ahead = time - person.seen;
    if (ahead > 0 && ahead < SHORTEST_STEP_S) {
      this.dropped["too fast"] += 1;
      return false;
    }
    if (!person.history.add(time, joints)) {
      this.dropped.duplicate += 1;
      return false;
    }
    person.since = Math.min(person.since, time);
    person.taken += 1;
    person.arrived = Number.isFinite(this.now) ? this.now : time;
    if (isNewest) {
      person.position = positionOf(joints, this.layout.coordinates, this.layout.center);
      person.size = Math.max(sizeOf(joints, this.layout.coordinates), KEPT_SIZE * person.size);
      person.seen = time;
      person.frames += 1;
    }
    return isNewest;
  }

  // --- people

  partner(name) {
    const newest = this.people.get(name).seen - TOGETHER_S;
    const there = [...this.people].filter(([, { seen, position }]) => seen >= newest && !position.some(Number.isNaN));
    const positions = new Map(there.map(([each, { position }]) => [each, position]));
    return mutualPairs(positions, new Map(there.map(([each, { size }]) => [each, PAIR * size]))).get(name) ?? null;
  }

  event(name, { starts, action, probability, began, time }, partner) {
    return {
      kind: starts ? "start" : "end",
      body: name,
      label: this.facts.classes[action],
      probability,
      began,
      time,
      partner,
    };
  }

  remove(name) {
    const { state, seen, partner, taken } = this.people.get(name);
    this.people.delete(name);
    if (!state.smoothed) this.dropped.brief += taken;
    return state.action === NONE ? [] : [this.event(name, state.stop(seen), partner)];
  }
}

function isSame(joints, others) {
  return joints.every((value, at) => value === others[at] || (Number.isNaN(value) && Number.isNaN(others[at])));
}

/** Return the probability (K,) at which an action of each class starts; infinity for the background. */
function thresholdsOf(facts, given) {
  const stated = facts.calibration?.thresholds;
  const thresholds = facts.classes.map(
    (name) => given || (stated && Object.hasOwn(stated, name) ? Number(stated[name]) : 0.5),
  );
  const background = facts.classes.indexOf(facts.background);
  if (background >= 0) thresholds[background] = Infinity;
  return Float32Array.from(thresholds);
}
