// What is recognised: the present action of a person, the five most probable ones, and the events so far.

import { shown } from "../core/problem.js";
import { byId, clock, element, percent, write } from "./dom.js";

const SHOWN = 5;
const MOST_LISTED = 200;
const FEW_PEOPLE = 6; // whose buttons have room for a word

export class Results {
  constructor() {
    this.person = null;
    this.rows = Array.from({ length: SHOWN }, () => {
      const parts = {
        name: element("span", { class: "bar-name" }),
        share: element("span", { class: "bar-share" }),
      };
      const fill = element("span", { class: "bar-fill" });
      const row = element(
        "li",
        {},
        parts.name,
        parts.share,
        element("span", { class: "bar", "aria-hidden": "true" }, fill),
      );
      return { ...parts, fill, row };
    });
    byId("bars").append(...this.rows.map(({ row }) => row));
    this.buttons = new Map();
  }

  /** Forget everybody. */
  reset() {
    this.person = null;
    this.update([], []);
    write(byId("whole"), "");
  }

  /**
   * Show what people do.
   * @param {{body: any, label: string, smoothed: Float32Array | null}[]} people
   * @param {string[]} classes
   * @param {boolean} hasBegun whether any frame was given
   */
  update(people, classes, hasBegun = false) {
    this.updateButtons(people);
    const chosen = people.find(({ body }) => body === this.person) ?? people[0];
    const smoothed = chosen?.smoothed;
    const none = hasBegun ? "nobody" : "–";
    const absent = classes.length ? none : "not recognised";
    write(byId("now"), chosen ? shown(chosen.label) || (smoothed ? "none of the actions" : "watching…") : absent);
    byId("now").classList.toggle("faint", !chosen?.label);
    write(byId("now-share"), chosen?.label && smoothed ? percent(smoothed[classes.indexOf(chosen.label)]) : "");
    const ranked = smoothed
      ? [...smoothed.keys()].sort((one, other) => smoothed[other] - smoothed[one]).slice(0, SHOWN)
      : [];
    this.rows.forEach(({ name, share, fill, row }, place) => {
      const number = ranked[place];
      row.classList.toggle("empty", number === undefined);
      row.hidden = number === undefined && ranked.length > 0; // a model of fewer classes
      write(name, number === undefined ? "–" : shown(classes[number]));
      write(share, number === undefined ? "" : percent(smoothed[number]));
      fill.style.width = number === undefined ? "0" : `${100 * smoothed[number]}%`;
    });
  }

  updateButtons(people) {
    const ids = people.map(({ body }) => body);
    byId("people").hidden = ids.length < 2;
    const isSame = ids.length === this.buttons.size && ids.every((id) => this.buttons.has(id));
    if (!isSame) {
      this.buttons = new Map(
        ids.map((id) => [
          id,
          element("button", {
            type: "button",
            class: "chip",
            text: ids.length > FEW_PEOPLE ? String(id) : `Person ${id}`,
            "aria-label": `Person ${id}`,
            onclick: () => (this.person = id),
          }),
        ]),
      );
      byId("people").replaceChildren(...this.buttons.values());
    }
    const chosen = ids.includes(this.person) ? this.person : ids[0];
    for (const [id, button] of this.buttons) button.setAttribute("aria-pressed", String(id === chosen));
  }

  /**
   * List events, the newest first.
   * @param {import("./timeline.js").Span[]} spans
   * @param {boolean} severalPeople
   */
  list(spans, severalPeople) {
    const lines = spans
      .slice(-MOST_LISTED)
      .reverse()
      .map(({ body, label, began, ended, probability }) =>
        element(
          "li",
          {},
          element("span", {
            class: "when",
            text: `${clock(began)}–${ended === null ? "…" : `${clock(ended)} s`}`,
          }),
          element("span", { class: "what", text: severalPeople ? `${body}: ${shown(label)}` : shown(label) }),
          element("span", { class: "share", text: percent(probability) }),
        ),
      );
    byId("events").replaceChildren(...(lines.length ? lines : [element("li", { class: "faint", text: "None yet." })]));
  }
}
