// "Teach it": classes, recording clips of them, and the folder to download.

import { counted } from "../core/problem.js";
import { Collection, WANTED } from "../teach/collection.js";
import { Recorder } from "../teach/recorder.js";
import { byId, download, element, write } from "./dom.js";
import { clearNote, clearProblem, guarded, note, tell } from "./messages.js";

const FOLDER = "taught";
const OWN_LAYOUT = "my_layout.yaml";
const COUNTDOWN_S = 3;
const ENDED_BY_COPY =
  "this part is recorded already, and copies are no test of what is trained (open another recording, or a longer one)";
const PAUSE_S = 1; // between two clips from a camera
const MOST_PEOPLE = 20;

export class TeachPanel {
  /**
   * @param {() => {isLive: boolean, isPlaying: boolean, play: () => void, layout: any}} source what is shown at present
   * @param {(name: string) => boolean} isKnown whether a layout comes with LAST
   */
  constructor(source, isKnown) {
    Object.assign(this, { source, isKnown, collection: new Collection() });
    Object.assign(this, { active: null, recorder: null, rows: new Map() });
    byId("add-class").addEventListener(
      "submit",
      guarded((event) => this.addClass(event)),
    );
    byId("download").addEventListener(
      "click",
      guarded(() => this.save()),
    );
    byId("person-number").append(
      ...Array.from({ length: MOST_PEOPLE }, (_, index) =>
        element("option", { value: index + 1, text: `Person ${index + 1}` }),
      ),
    );
    window.addEventListener(
      "beforeunload",
      (event) => !this.collection.isSaved && this.collection.count && event.preventDefault(),
    );
    this.update();
  }

  addClass(event) {
    event.preventDefault();
    const field = byId("class-name");
    const name = this.collection.addClass(field.value);
    clearProblem();
    field.value = "";
    this.addRow(name);
    this.update();
    tell(`Class ${name} added.`);
  }

  addRow(name) {
    const button = (text, label, act, kind = "quiet") =>
      element("button", {
        type: "button",
        class: kind,
        text,
        "aria-label": `${label}: ${name}`,
        onclick: guarded(act),
      });
    const parts = {
      count: element("span", { class: "class-count" }),
      fill: element("span", { class: "bar-fill" }),
      one: button("Record", "Record one clip", () => this.begin(name, 1), ""),
      ten: button(`Record ${WANTED}`, `Record ${WANTED} clips`, () => this.begin(name, WANTED), ""),
      undo: button("Undo", "Undo the last clip", () => this.undo(name)),
      remove: button("✕", "Remove the class", () => this.remove(name)),
    };
    const label = element("span", { class: "class-name", text: name });
    const bar = element("span", { class: "bar", "aria-hidden": "true" }, parts.fill);
    const buttons = element("span", { class: "class-buttons" }, parts.one, parts.ten, parts.undo, parts.remove);
    parts.row = element("li", {}, label, parts.count, bar, buttons);
    this.rows.set(name, parts);
    byId("classes").append(parts.row);
  }

  // --- recording

  begin(name, clips) {
    if (this.active === name) return this.stop();
    const source = this.source();
    if (!source.layout) return undefined;
    clearNote();
    if (source.isLive) byId("stage").scrollIntoView({ block: "center" }); // where the countdown is
    else source.play();
    const person = Number(byId("person-number").value);
    Object.assign(this, { active: name, asked: clips, wanted: clips, layout: source.layout, time: null, person });
    this.arm(source.isLive ? COUNTDOWN_S : 0);
    tell(`Recording ${name}.`);
    return this.update();
  }

  /** Wait some seconds, then record the next clip. */
  arm(wait) {
    this.recorder = null;
    this.due = performance.now() + 1000 * wait;
  }

  stop() {
    Object.assign(this, { active: null, recorder: null });
    this.update();
  }

  /**
   * Take a frame of what is shown.
   * @param {number} time in seconds
   * @param {{id: any, joints: Float32Array}[]} people
   */
  take(time, people) {
    if (this.active === null) return;
    const left = (this.due - performance.now()) / 1000;
    byId("countdown").hidden = !(left > 0);
    if (left > 0) {
      write(byId("countdown"), String(Math.ceil(left)));
      return;
    }
    this.recorder ??= new Recorder(Number(byId("clip-seconds").value));
    if (
      this.recorder.take(
        people.map(({ joints }) => joints),
        people.map(({ id }) => id),
        time,
      )
    )
      guarded(() => this.completed())();
    else this.progress();
  }

  completed() {
    const { active, recorder } = this;
    const isLive = this.source().isLive;
    if (!isLive && this.collection.repeats(recorder.clip)) {
      this.interrupt(ENDED_BY_COPY);
      return;
    }
    this.wanted -= 1;
    this.arm(isLive ? PAUSE_S : 0);
    try {
      this.collection.add(active, { ...recorder.clip, person: this.person }, this.layout);
    } catch (error) {
      this.stop();
      throw error;
    }
    const count = this.collection.classes.get(active).length;
    tell(`${active}: ${counted(count, "clip")}.`);
    if (this.wanted < 1) this.stop();
    this.update();
  }

  /** Forget a clip that is being recorded, and say so. @param {string} reason why the frames do not go on */
  interrupt(reason) {
    if (this.active === null) return;
    const { active, asked, wanted } = this;
    this.stop();
    const text =
      `Recording "${active}" has ended because ${reason}: ${asked - wanted} of ${counted(asked, "clip")} ` +
      `${asked === 1 ? "was" : "were"} recorded. The clip that had begun is not kept; press Record to go on.`;
    note(text);
    tell(text);
  }

  undo(name) {
    this.collection.undo(name);
    this.update();
  }

  remove(name) {
    const count = this.collection.classes.get(name).length;
    if (count && !window.confirm(`Remove "${name}" with ${counted(count, "clip")}?`)) return;
    if (this.active === name) this.stop();
    this.collection.removeClass(name);
    this.rows.get(name).row.remove();
    this.rows.delete(name);
    this.update();
    byId("class-name").focus();
  }

  // --- what is shown

  progress() {
    if (!this.recorder.times.length) write(byId("teach-hint"), "Nobody is seen: the clip begins when somebody is.");
    const { fill } = this.rows.get(this.active);
    const count = this.collection.classes.get(this.active).length;
    fill.style.width = `${Math.min(100, (100 * (count + this.recorder.share)) / WANTED)}%`;
  }

  update() {
    const focused = document.activeElement;
    for (const [name, parts] of this.rows) {
      const count = this.collection.classes.get(name).length;
      const isActive = this.active === name;
      write(parts.count, count > WANTED ? counted(count, "clip") : `${count} of ${WANTED}`);
      parts.fill.style.width = `${Math.min(100, (100 * count) / WANTED)}%`;
      parts.row.classList.toggle("active", isActive);
      write(parts.one, isActive ? "Stop" : "Record");
      parts.one.setAttribute("aria-label", isActive ? `Stop recording: ${name}` : `Record one clip: ${name}`);
      parts.ten.disabled = this.active !== null;
      parts.one.disabled = this.active !== null && !isActive;
      parts.undo.disabled = count === 0 || isActive;
      if ([parts.ten, parts.undo].some((button) => button === focused && button.disabled)) parts.one.focus();
    }
    if (this.active === null) byId("countdown").hidden = true;
    const { lacks, count, classes } = this.collection;
    const filled = [...classes.values()].filter((clips) => clips.length).length;
    byId("download").disabled = Boolean(lacks);
    const several = this.rows.size === 0 ? "Two classes at least; a class for everything else helps." : lacks;
    write(
      byId("teach-hint"),
      several || `${counted(count, "clip")} of ${filled} classes, layout ${this.collection.layout.name}.`,
    );
  }

  save() {
    const bytes = this.collection.archive(FOLDER);
    download(`${FOLDER}.zip`, bytes, "application/zip");
    this.collection.isSaved = true;
    const { name, joints } = this.collection.layout;
    const isKnown = this.isKnown(name);
    byId("teach-layout").hidden = isKnown;
    write(
      byId("teach-layout"),
      `LAST has no layout of these ${counted(joints.length, "joint")}: write ${OWN_LAYOUT} first, with their names ` +
        "and bones (docs/data.md, Joint layouts).",
    );
    const layout = isKnown ? name : OWN_LAYOUT;
    write(byId("teach-command"), `python -m last start ./${FOLDER} --layout ${layout} --minutes 2`);
    byId("teach-next").hidden = false;
    tell("The folder is downloaded. The command to train with is below.");
  }
}
