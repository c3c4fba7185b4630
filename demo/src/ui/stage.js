// The canvas on which people are drawn, and the camera that looks at them.

import { camera, drawFrame } from "../../../src/plots/player/drawing.js";
import { listenForGestures } from "../../../src/plots/player/gestures.js";
import shared from "../../content/drawing.json";
import { skeletonOf } from "../core/layouts.js";
import { shown } from "../core/problem.js";
import { byId, element } from "./dom.js";
import { Labels } from "./labels.js";
import { pointsOf } from "./scene.js";

const START = { azimuth: 20, elevation: 12, zoom: 1 };
const VIEWS = { Front: [0, 12], Side: [90, 12], Top: [0, 89] };
const ZOOMS = [0.3, 8];
const LONGEST_LABEL = 32; // characters
const STEP_DEGREES = 10;

/** @typedef {{id: any, joints: Float32Array}} Drawn a person: joints (V, C) */

export class Stage {
  /** @param {() => void} onKey called when the space bar is pressed on the canvas */
  constructor(onKey) {
    this.canvas = byId("stage");
    this.context = this.canvas.getContext("2d");
    this.overlay = this.canvas.parentElement.querySelector(".overlay");
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.forced = window.matchMedia("(forced-colors: active)");
    this.view = { ...START };
    this.labels = new Labels();
    this.isStale = true;
    const stale = () => (this.isStale = true);
    for (const query of [this.dark, this.forced]) query.addEventListener("change", stale);
    new ResizeObserver(stale).observe(this.canvas);
    this.listen(onKey);
    this.buttons();
  }

  /** @param {import("../core/layouts.js").Layout} layout @param {import("./scene.js").Scene} scene */
  show(layout, scene) {
    this.clip = { skeleton: skeletonOf(layout, shared.face), version: { scene } };
    this.layout = layout;
    byId("views").hidden = this.clip.skeleton.flat;
    this.isStale = true;
  }

  /**
   * Draw people with their labels.
   * @param {Drawn[]} people
   * @param {Map<any, string>} labels
   */
  draw(people, labels) {
    this.isStale = false;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const size = {
      width: Math.round(this.canvas.clientWidth * ratio),
      height: Math.round(this.canvas.clientHeight * ratio),
    };
    if (this.canvas.width !== size.width || this.canvas.height !== size.height) Object.assign(this.canvas, size);
    if (!this.clip) return;
    const { scene } = this.clip.version;
    const joints = this.layout.joints.length;
    const points = new Float32Array(people.length * joints * 3);
    people.forEach((person, number) => {
      const own = pointsOf(person.joints, this.layout.coordinates);
      points.set(
        own.map((value, at) => (value - scene.middle[at % 3]) / scene.radius),
        number * joints * 3,
      );
    });
    const decoded = { points, confidence: null, joints, frames: 1, bodies: people.length };
    this.clip.version.numbers = people.map((_, number) => number);
    drawFrame(this.context, size, this.clip, decoded, 0, this.view, shared, this.palette, false, []);
    this.drawLabels(people, points, labels, size, ratio);
  }

  /** The colours of the drawing; those of the system where it forces them. */
  get palette() {
    const style = getComputedStyle(this.canvas);
    if (!this.forced.matches)
      return { ...(this.dark.matches ? shared.dark : shared.light), background: style.backgroundColor };
    const palette = isDark(style.backgroundColor) ? shared.dark : shared.light;
    return { ...palette, background: style.backgroundColor, ink: style.color };
  }

  drawLabels(people, points, labels, size, ratio) {
    if (people.length < 2 && ![...labels.values()].some(Boolean)) return;
    const project = camera(this.view, this.clip.skeleton.flat, shared.eye_distance);
    const scale = (Math.min(size.width, size.height) / 2 / shared.margin) * this.view.zoom;
    const joints = this.layout.joints.length;
    const wanted = people.flatMap(({ id }, number) => {
      const top = highest(points.subarray(number * joints * 3, (number + 1) * joints * 3));
      const label = labels.get(id) ?? "";
      if (!top || !(label || people.length > 1)) return [];
      const [right, up] = project(...top);
      const [x, y] = [size.width / 2 + right * scale, size.height / 2 - up * scale];
      return [{ id, number: people.length > 1 ? String(id) : "", text: shown(label, LONGEST_LABEL), x, y }];
    });
    const top = this.overlay.offsetTop + this.overlay.offsetHeight;
    this.labels.draw(this.context, wanted, { ...size, top: top * ratio }, ratio, this.palette);
  }

  // --- the camera

  look(azimuth, elevation, zoom = this.view.zoom) {
    const within = (value, [low, high]) => Math.max(low, Math.min(high, value));
    this.view = { azimuth, elevation: within(elevation, [-89, 89]), zoom: within(zoom, ZOOMS) };
    this.isStale = true;
  }

  turn(right, down) {
    this.look(this.view.azimuth + right, this.view.elevation + down);
  }

  zoom(factor) {
    this.look(this.view.azimuth, this.view.elevation, this.view.zoom * factor);
  }

  buttons() {
    const made = Object.entries(VIEWS).map(([name, angles]) =>
      element("button", { type: "button", class: "quiet", text: name, onclick: () => this.look(...angles) }),
    );
    const reset = element("button", {
      type: "button",
      class: "quiet",
      text: "Reset",
      onclick: () => this.look(START.azimuth, START.elevation, START.zoom),
    });
    const hint = element("span", {
      class: "hint",
      id: "stage-keys",
      text: "Drag to turn. Keys on the skeleton: arrows turn, + and − zoom, space plays.",
    });
    byId("views").append(...made, reset, hint);
  }

  listen(onKey) {
    const { canvas } = this;
    listenForGestures(canvas, {
      turn: (right, down) => this.turn(right, down),
      zoom: (factor) => this.zoom(factor),
      takesWheel: () => document.activeElement === canvas,
    });
    canvas.addEventListener("keydown", (event) => this.pressed(event, onKey));
  }

  pressed(event, onKey) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      " ": onKey,
      ArrowLeft: () => this.turn(-STEP_DEGREES, 0),
      ArrowRight: () => this.turn(STEP_DEGREES, 0),
      ArrowUp: () => this.turn(0, -STEP_DEGREES),
      ArrowDown: () => this.turn(0, STEP_DEGREES),
      "+": () => this.zoom(1.2),
      "-": () => this.zoom(1 / 1.2),
      0: () => this.look(START.azimuth, START.elevation, START.zoom),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}

/** Return the highest measured point of a body (V, 3); null without any. */
function highest(points) {
  let top = -1;
  for (let at = 0; at < points.length; at += 3)
    if (points[at + 1] > (top < 0 ? -Infinity : points[top + 1])) top = at;
  return top < 0 ? null : [points[top], points[top + 1], points[top + 2]];
}

/** Return whether a colour, as browsers compute it, is a dark one. @param {string} colour such as rgb(0, 0, 0) */
function isDark(colour) {
  const [red = 255, green = 255, blue = 255] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}
