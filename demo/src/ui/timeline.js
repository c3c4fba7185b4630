// The events of a recording over its time.

import { shown } from "../core/problem.js";
import { byId, element, write } from "./dom.js";

const MOST_LANES = 6;
const COLOURS = 12;
const MARGIN_S = 0.4; // by which one action may begin before the one before it is known to have ended

/**
 * @typedef {object} Span an action of a person
 * @property {any} body
 * @property {string} label
 * @property {number} began in seconds
 * @property {number | null} ended null while it goes on
 * @property {number} probability
 * @property {number} pass through the recording in which it was found
 */

export class Timeline {
  /** @param {() => void} onChange */
  constructor(onChange) {
    Object.assign(this, { onChange, duration: 1, start: 0, classes: [], pass: 0 });
    this.lanes = element("div", { class: "lanes" });
    this.head = element("span", { class: "playhead" });
    this.lanes.append(this.head);
    this.rest = element("p", { class: "hint" });
    byId("timeline").append(this.lanes, this.rest);
    this.spans = [];
  }

  /** @param {number} duration in seconds @param {string[]} classes of the model */
  clear(duration, classes) {
    /** @type {Span[]} */
    this.spans = [];
    Object.assign(this, { duration: Math.max(duration, 0.1), classes });
    this.changed();
  }

  /**
   * Take events of a stream; they replace those that were found at their time when the recording was played before.
   * @param {...any} events
   */
  add(...events) {
    for (const event of events) this.take(event);
    this.changed();
  }

  take({ kind, body, label, began, time, probability }) {
    if (kind === "end") {
      const open = this.spans.find((span) => span.body === body && span.ended === null && span.label === label);
      if (open) this.end(open, time);
      return;
    }
    this.forgetBefore(body, began + MARGIN_S, time);
    this.spans.push({ body, label, began, ended: null, probability, pass: this.pass });
    this.spans.sort((one, other) => one.began - other.began);
  }

  end(span, time) {
    span.ended = Math.max(time, span.began);
    this.forgetBefore(span.body, span.began + MARGIN_S, span.ended - MARGIN_S);
  }

  /** Forget what was found before at the time of what goes on now. */
  forgetCovered(time) {
    const before = this.spans;
    for (const { body, began, ended } of before) if (ended === null) this.forgetBefore(body, began + MARGIN_S, time);
    if (this.spans.length < before.length) this.changed();
  }

  /** Forget what was found of somebody between two times when the recording was played before. */
  forgetBefore(body, began, time) {
    const isOld = (span) => span.pass !== this.pass && span.body === body && span.began < time && span.ended > began;
    this.spans = this.spans.filter((span) => !isOld(span));
  }

  /** End what goes on, as where the time jumps: what is found from now on replaces what is there. @param {number} time */
  close(time) {
    for (const span of this.spans.filter(({ ended }) => ended === null)) this.end(span, time);
    this.pass += 1;
    this.changed();
  }

  /** Move a window of a camera's time. @param {number} time @param {number} shown seconds */
  follow(time, shown) {
    this.duration = shown;
    this.start = Math.max(0, time - shown);
    this.draw();
    this.move(time);
  }

  changed() {
    this.start = 0;
    this.draw();
    this.onChange();
  }

  /** @param {number} time */
  move(time) {
    this.now = time;
    this.forgetCovered(time);
    this.head.style.left = `${this.place(time)}%`;
    for (const block of this.open ?? [])
      block.style.width = `${Math.max(this.place(time) - parseFloat(block.style.left), 0.4)}%`;
  }

  place(time) {
    return Math.min(Math.max((100 * (time - this.start)) / this.duration, 0), 100);
  }

  draw() {
    const bodies = [...new Set(this.spans.map(({ body }) => body))].sort((one, other) => one - other);
    const drawn = bodies.slice(0, MOST_LANES);
    this.open = [];
    const lanes = (drawn.length ? drawn : [null]).map((body) => {
      const blocks = this.spans
        .filter((span) => span.body === body && (span.ended ?? Infinity) >= this.start)
        .map((span) => this.block(span));
      return element("div", { class: "lane", "data-body": body ?? "" }, ...blocks);
    });
    this.lanes.classList.toggle("several", bodies.length > 1);
    this.lanes.replaceChildren(...lanes, this.head);
    const rest = bodies.slice(MOST_LANES);
    this.rest.hidden = !rest.length;
    write(this.rest, rest.length ? `Not drawn here, but listed: person ${rest.join(", ")}` : "");
  }

  block(span) {
    const colour = Math.max(this.classes.indexOf(span.label), 0) % COLOURS;
    const made = element(
      "span",
      { class: `block colour${colour}`, title: shown(span.label) },
      element("span", { text: shown(span.label) }),
    );
    const left = this.place(span.began);
    made.style.left = `${left}%`;
    made.style.width = `${Math.max(this.place(span.ended ?? this.now ?? span.began) - left, 0.4)}%`;
    if (span.ended === null) this.open.push(made);
    return made;
  }
}
