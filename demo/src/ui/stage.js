// The canvas on which people are drawn, and the camera that looks at them.

import { camera, drawFrame } from "../../../src/plots/player/drawing.js";
import shared from "../../content/drawing.json";
import { skeletonOf } from "../core/layouts.js";
import { byId, element } from "./dom.js";
import { pointsOf } from "./scene.js";

const START = { azimuth: 20, elevation: 12, zoom: 1 };
const VIEWS = { Front: [0, 12], Side: [90, 12], Top: [0, 89] };
const ZOOMS = [0.3, 8];
const LABEL_PIXELS = 13;
const STEP_DEGREES = 10;

/** @typedef {{id: any, joints: Float32Array}} Drawn a person: joints (V, C) */

export class Stage {
  /** @param {() => void} onKey called when the space bar is pressed on the canvas */
  constructor(onKey) {
    this.canvas = byId("stage");
    this.context = this.canvas.getContext("2d");
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.view = { ...START };
    this.pointers = new Map();
    this.isStale = true;
    const stale = () => (this.isStale = true);
    this.dark.addEventListener("change", stale);
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

  get palette() {
    const palette = this.dark.matches ? shared.dark : shared.light;
    return { ...palette, background: getComputedStyle(this.canvas).backgroundColor };
  }

  drawLabels(people, points, labels, size, ratio) {
    if (people.length < 2 && ![...labels.values()].some(Boolean)) return;
    const project = camera(this.view, this.clip.skeleton.flat, shared.eye_distance);
    const scale = (Math.min(size.width, size.height) / 2 / shared.margin) * this.view.zoom;
    const joints = this.layout.joints.length;
    this.context.font = `600 ${LABEL_PIXELS * ratio}px system-ui, sans-serif`;
    this.context.textAlign = "center";
    this.context.textBaseline = "middle";
    people.forEach(({ id }, number) => {
      const own = points.subarray(number * joints * 3, (number + 1) * joints * 3);
      let top = -1;
      for (let joint = 0; joint < joints; joint++)
        if (own[3 * joint + 1] > (top < 0 ? -Infinity : own[3 * top + 1])) top = joint;
      const label = [people.length > 1 ? String(id) : "", labels.get(id) ?? ""].filter(Boolean).join("  ");
      if (top < 0 || !label) return;
      const [right, up] = project(own[3 * top], own[3 * top + 1], own[3 * top + 2]);
      this.drawLabel(label, size.width / 2 + right * scale, size.height / 2 - up * scale - 26 * ratio, ratio, size);
    });
  }

  drawLabel(label, x, y, ratio, size) {
    const [width, height] = [this.context.measureText(label).width + 14 * ratio, 22 * ratio];
    const left = Math.min(Math.max(x - width / 2, 4 * ratio), size.width - width - 4 * ratio);
    const top = Math.max(y - height / 2, 4 * ratio);
    this.context.globalAlpha = 0.9;
    this.context.fillStyle = this.palette.ink;
    this.context.beginPath();
    this.context.roundRect(left, top, width, height, height / 2);
    this.context.fill();
    this.context.globalAlpha = 1;
    this.context.fillStyle = this.palette.background;
    this.context.fillText(label, left + width / 2, top + height / 2 + ratio);
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
      text: "Drag to turn. Keys on the skeleton: arrows turn, + and − zoom, space plays.",
    });
    byId("views").append(...made, reset, hint);
  }

  listen(onKey) {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    const zoomed = (event) => {
      if (document.activeElement !== canvas) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 500));
    };
    canvas.addEventListener("wheel", zoomed, { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressed(event, onKey));
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const spread = this.spread();
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size > 1 && spread) this.zoom(this.spread() / spread);
    else this.turn((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  }

  spread() {
    const [first, second] = [...this.pointers.values()];
    return second ? Math.hypot(first.clientX - second.clientX, first.clientY - second.clientY) : 0;
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
