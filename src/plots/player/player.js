// The player: controls, keys, touch, and the list of clips. Every element with the class `last-player` becomes one.

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const FEW_CLIPS = 5; // so many need no search
const ZOOMS = [0.3, 12];

function element(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class Player {
  constructor(root) {
    this.root = root;
    const content = JSON.parse(root.querySelector("script").textContent);
    Object.assign(this, { clips: content.clips, skeletons: content.skeletons, shared: content.shared });
    this.start = { azimuth: this.shared.azimuth, elevation: this.shared.elevation, zoom: 1 };
    this.view = { ...this.start };
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.moment = 0; // as a share of the clip, from 0 to 1
    this.speed = 1;
    this.showsConfidence = true;
    this.playing = root.dataset.plays === "true" && !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build();
    this.select(0);
    this.dark.addEventListener("change", () => {
      this.writeLegend();
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(this.stage);
    root.addEventListener("keydown", (event) => this.pressed(event));
    requestAnimationFrame((time) => this.tick(time));
  }

  // --- the elements

  build() {
    const button = (text, label, act) => element("button", { type: "button", text, "aria-label": label, title: label, onclick: act });
    this.stage = element("div", { class: "lp-stage" });
    this.playButton = button("", "Play", () => this.setPlaying(!this.playing));
    this.playButton.classList.add("lp-play");
    this.scrubber = element("input", { type: "range", min: 0, value: 0, class: "lp-scrubber", "aria-label": "Frame" });
    this.scrubber.addEventListener("input", () => this.show(Number(this.scrubber.value)));
    this.stretch = element("span", { class: "lp-stretch" });
    this.time = element("output", { class: "lp-time" });
    const speeds = SPEEDS.map((speed) => element("option", { value: speed, text: `${speed}×` }));
    this.speeds = element("select", { "aria-label": "Speed", title: "Speed" }, ...speeds);
    this.speeds.value = "1";
    this.speeds.addEventListener("change", () => (this.speed = Number(this.speeds.value)));
    const { elevation } = this.start;
    const angles = { Front: [0, elevation], Side: [90, elevation], Top: [0, 89] };
    const presets = Object.entries(angles).map(([name, angles]) => button(name, `View from the ${name.toLowerCase()}`, () => this.look(...angles)));
    this.presets = element("span", { class: "lp-presets", role: "group", "aria-label": "Camera" }, ...presets);
    const reset = button("Reset", "Reset the view", () => this.look(this.start.azimuth, elevation, 1));
    this.toMarked = button("Marked frames", "Show the first marked frame", () => {
      this.setPlaying(false);
      this.show(this.clip.marked_frames[0]);
    });
    const box = element("input", { type: "checkbox", checked: "" });
    box.addEventListener("change", () => {
      this.showsConfidence = box.checked;
      this.draw();
    });
    this.confidence = element("label", { class: "lp-confidence", title: "Joints of low confidence are faint" }, box, "confidence");
    this.title = element(`h${this.root.dataset.heading || 2}`, { class: "lp-title" });
    this.caption = element("p", { class: "lp-caption" });
    this.legend = element("p", { class: "lp-legend" });
    this.labels = element("div", { class: "lp-labels" });
    const step = (text, label, by) => button(text, label, () => this.step(by));
    const controls = element(
      "div",
      { class: "lp-controls" },
      element("div", { class: "lp-line" }, step("‹", "Previous frame", -1), this.playButton, step("›", "Next frame", 1), element("span", { class: "lp-track" }, this.scrubber, this.stretch), this.time),
      element("div", { class: "lp-line lp-options" }, this.speeds, this.presets, reset, this.toMarked, this.confidence),
    );
    this.help = element("p", { class: "lp-help" });
    const main = element("div", { class: "lp-main" }, this.title, this.caption, this.stage, this.labels, this.legend, controls, this.help);
    this.root.append(...(this.clips.length > 1 ? [this.list(), main] : [main]));
    this.root.classList.toggle("lp-with-list", this.clips.length > 1);
    this.setPlaying(this.playing);
  }

  list() {
    this.items = this.clips.map((clip, number) => {
      const about = [element("span", { class: "lp-name", text: clip.name }), element("span", { class: "lp-about", text: clip.caption })];
      return element("li", {}, element("button", { type: "button", onclick: () => this.select(number) }, ...about));
    });
    const search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search the clips" });
    const count = element("output", { class: "lp-count" });
    const filter = () => {
      const wanted = search.value.toLowerCase().split(/\s+/);
      const shown = this.items.filter((item) => !(item.hidden = !wanted.every((word) => item.textContent.toLowerCase().includes(word))));
      count.textContent = shown.length === this.items.length ? `${shown.length} clips` : `${shown.length} of ${this.items.length} clips`;
    };
    search.addEventListener("input", filter);
    filter();
    const searched = this.clips.length > FEW_CLIPS ? [search, count] : [];
    return element("nav", { class: "lp-list", "aria-label": "Clips" }, ...searched, element("ul", {}, ...this.items));
  }

  // --- what is shown

  select(number) {
    const clip = this.clips[number];
    this.stage.replaceChildren();
    this.versions = clip.versions.map((version) => {
      const skeleton = this.skeletons[clip.skeleton];
      const canvas = element("canvas", { tabindex: 0, role: "img" });
      this.listen(canvas);
      const note = version.empty ? [element("p", { class: "lp-empty", text: "No joint of this clip was measured." })] : [];
      const title = version.title ? [element("figcaption", { text: version.title })] : [];
      this.stage.append(element("figure", {}, ...title, canvas, ...note));
      return { skeleton, version, canvas, decoded: decode(version, skeleton.joints, skeleton.coordinates) };
    });
    this.clip = clip;
    this.title.textContent = clip.name;
    this.caption.textContent = clip.caption;
    this.scrubber.max = Math.max(this.frames - 1, 0);
    const [first, last] = clip.marked_frames || [0, -1];
    this.moment = this.frames ? (first + (first && 0.5)) / this.frames : 0;
    this.toMarked.hidden = this.stretch.hidden = !clip.marked_frames;
    this.stretch.style.left = `${(100 * first) / this.frames}%`;
    this.stretch.style.width = `${(100 * (last + 1 - first)) / this.frames}%`;
    const { flat } = this.versions[0].skeleton; // a body in a picture cannot be turned
    this.presets.hidden = flat;
    this.stage.classList.toggle("lp-flat", flat);
    const [drag, shift] = flat ? ["", ""] : ["Drag to turn. ", " with shift they turn,"];
    this.help.textContent = `${drag}Scroll or pinch to zoom. Space plays, the arrow keys step,${shift} + and - zoom.`;
    this.confidence.hidden = this.versions.every(({ version }) => version.confidence === null);
    (this.items || []).forEach((item, index) => item.firstChild.setAttribute("aria-current", index === number));
    this.labels.replaceChildren();
    this.labels.hidden = !clip.running.length;
    this.tracks = clip.running.map((running) => this.track(running));
    this.writeLegend();
    this.draw();
  }

  // Labels over time: the rows of one body, which `writeLabels` fills.
  track(running) {
    const most = Math.max(1, ...running.spans.map(([, labels]) => labels.length));
    const rows = Array.from({ length: most }, () => {
      const parts = [element("span", { class: "lp-label-name" }), element("meter", { min: 0, max: 1 }), element("span", { class: "lp-label-share" })];
      return { parts, row: element("div", { class: "lp-label" }, ...parts) };
    });
    const title = running.title ? [element("p", { class: "lp-label-title", text: running.title })] : [];
    this.labels.append(element("div", { class: "lp-label-track" }, ...title, ...rows.map(({ row }) => row)));
    return { running, rows };
  }

  writeLabels() {
    for (const { running, rows } of this.tracks) {
      const span = running.spans.findLast(([start]) => start <= this.frame);
      const labels = span ? span[1] : [];
      rows.forEach(({ parts: [name, bar, share], row }, place) => {
        const label = labels[place];
        row.hidden = !label && place > 0;
        name.textContent = label ? running.names[label[0]] : "no body";
        bar.hidden = share.hidden = !label;
        bar.value = label ? label[1] : 0;
        share.textContent = label ? `${(100 * label[1]).toFixed(0)} %` : "";
      });
    }
  }

  get frames() {
    return this.versions[0].version.frames;
  }

  get fps() {
    return this.versions[0].version.fps || this.shared.default_fps;
  }

  get frame() {
    return Math.min(Math.floor(this.moment * this.frames + 1e-6), this.frames - 1);
  }

  get palette() {
    return this.dark.matches ? this.shared.dark : this.shared.light;
  }

  markedIn(frame) {
    const [first, last] = this.clip.marked_frames || [0, this.frames];
    return first <= frame && frame <= last ? this.clip.marked_joints : [];
  }

  writeLegend() {
    this.legend.replaceChildren();
    for (const { body, words } of this.clip.legend) {
      const sides = this.palette.bodies[body % this.palette.bodies.length];
      const written = words.flatMap(([text, side]) => {
        const word = element("span", { text, class: side ? "lp-side" : "" });
        if (side) word.style.borderBottomColor = sides[side];
        return [" ", word];
      });
      this.legend.append(element("span", {}, ...written.slice(1)));
    }
  }

  draw() {
    let strokes = 0;
    for (const each of this.versions) {
      const { clientWidth, clientHeight } = each.canvas;
      const ratio = window.devicePixelRatio || 1;
      const size = { width: Math.round(clientWidth * ratio), height: Math.round(clientHeight * ratio) };
      if (each.canvas.width !== size.width || each.canvas.height !== size.height) Object.assign(each.canvas, size);
      const frame = Math.min(Math.floor(this.moment * each.version.frames + 1e-6), each.version.frames - 1);
      const marked = each === this.versions[0] ? this.markedIn(frame) : [];
      if (each.version.frames) {
        strokes += drawFrame(each.canvas.getContext("2d"), size, each, each.decoded, frame, this.view, this.shared, this.palette, this.showsConfidence, marked);
      }
      each.canvas.setAttribute("aria-label", `${this.clip.name}, ${each.version.title || "clip"}, frame ${frame + 1} of ${each.version.frames}`);
    }
    this.scrubber.value = this.frame;
    const known = this.versions[0].version.fps > 0;
    const seconds = known ? `${(this.frame / this.fps).toFixed(2)} s, ` : "";
    this.time.textContent = `${seconds}${this.frame + 1} / ${this.frames}`;
    this.scrubber.setAttribute("aria-valuetext", `${seconds}frame ${this.frame + 1} of ${this.frames}`);
    this.writeLabels();
    this.root.dataset.drawn = strokes;
  }

  // --- time

  tick(time) {
    const elapsed = Math.min((time - (this.before ?? time)) / 1000, 0.25);
    this.before = time;
    if (this.playing && this.frames > 1) {
      const before = this.versions.map(({ version }) => Math.floor(this.moment * version.frames));
      this.moment = (this.moment + (elapsed * this.speed * this.fps) / this.frames) % 1;
      if (this.versions.some(({ version }, index) => Math.floor(this.moment * version.frames) !== before[index])) this.draw();
    }
    requestAnimationFrame((next) => this.tick(next));
  }

  show(frame) {
    this.moment = (frame + 0.5) / Math.max(this.frames, 1);
    this.draw();
  }

  step(by) {
    this.setPlaying(false);
    this.show((this.frame + by + this.frames) % this.frames);
  }

  setPlaying(playing) {
    this.playing = playing;
    this.playButton.textContent = playing ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.playButton.title = playing ? "Pause" : "Play";
  }

  // --- the camera

  look(azimuth, elevation, zoom = this.view.zoom) {
    this.view = { azimuth, elevation: Math.max(-89, Math.min(89, elevation)), zoom: Math.max(ZOOMS[0], Math.min(ZOOMS[1], zoom)) };
    this.draw();
  }

  turn(right, down) {
    this.look(this.view.azimuth + right, this.view.elevation + down);
  }

  zoom(factor) {
    this.look(this.view.azimuth, this.view.elevation, this.view.zoom * factor);
  }

  listen(canvas) {
    const takesWheel = () => this.root.dataset.embedded !== "true" || document.activeElement === canvas;
    listenForGestures(canvas, { turn: (right, down) => this.turn(right, down), zoom: (factor) => this.zoom(factor), takesWheel });
  }

  pressed(event) {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target.type === "search" || target.tagName === "SELECT") return;
    const turns = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }; // as if dragged
    const acts = {
      " ": () => this.setPlaying(!this.playing),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      Home: () => this.show(0),
      End: () => this.show(this.frames - 1),
      "+": () => this.zoom(1.2),
      "-": () => this.zoom(1 / 1.2),
    };
    const act = event.shiftKey && turns[event.key] ? () => this.turn(...turns[event.key]) : acts[event.key];
    const pressesButton = event.key === " " && (target.tagName === "BUTTON" || target.type === "checkbox");
    if (!act || pressesButton) return;
    event.preventDefault();
    act();
  }
}

function reportProblem(problem) {
  for (const root of document.querySelectorAll(".last-player")) {
    root.dataset.error = problem;
    root.append(element("p", { class: "lp-problem", role: "alert", text: `The player has failed: ${problem}` }));
  }
}

window.addEventListener("error", (event) => reportProblem(event.message));
document.querySelectorAll(".last-player").forEach((root) => new Player(root));
