// The page: what is shown, who is recognised, and what is recorded.

import clips from "../content/clips.json";
import layoutFacts from "../content/layouts.json";
import { Layouts } from "./core/layouts.js";
import { Problem, shown } from "./core/problem.js";
import { confident, fitted, inputOf } from "./core/recording.js";
import { Engine, refuseOldBrowser } from "./engine/engine.js";
import { DEFAULTS } from "./live/settings.js";
import { readNpy } from "./readers/npy.js";
import { CameraPanel } from "./ui/camera_panel.js";
import { byId, element, write } from "./ui/dom.js";
import { EventSearch } from "./ui/event_search.js";
import { Files, sorted } from "./ui/files.js";
import { clearNote, clearProblem, guarded, listenForProblems, note, showProblem, tell } from "./ui/messages.js";
import { ModelPanel, fetched, refuseLargeModel } from "./ui/model_panel.js";
import { Playback, Transport } from "./ui/playback.js";
import { Reading } from "./ui/reading.js";
import { Recognition } from "./ui/recognition.js";
import { Stage } from "./ui/stage.js";
import { TeachPanel } from "./ui/teach_panel.js";

const LONGEST_WHOLE_S = 7; // longer recordings are recognised by windows alone
const [OWN_FILE, CAMERA] = ["file", "camera"]; // in the menu of clips
const SETTLED_MS = 150; // after the last move of the scrubber
const NO_STUDENT =
  "It is not a model that LAST exported: it has no input `joints`. A pose model is opened beside the camera.";

class App {
  constructor() {
    listenForProblems();
    this.layouts = new Layouts(layoutFacts);
    this.recognition = new Recognition();
    this.stage = new Stage(() => this.setPlaying(!this.playback?.isPlaying));
    this.transport = new Transport({
      onPlay: (playing) => this.setPlaying(playing),
      onSeek: (frame) => this.seek(frame),
      onSpeed: (speed) => this.playback && (this.playback.speed = speed),
    });
    this.teach = new TeachPanel(
      () => this.source,
      (name) => Boolean(this.layouts.named(name)),
    );
    this.engine = new Engine("worker.js");
    this.model = new ModelPanel(this.engine, () => this.begin());
    this.camera = new CameraPanel(this.engine, this.layouts, {
      onStart: () => {
        this.reading.cancel();
        this.begin();
      },
      onStop: () => this.begin(),
      onPeople: (time, people) => this.takeCamera(time, people),
    });
    this.reading = new Reading("reader.js");
    this.search = new EventSearch(this.recognition, () => this.playback);
    this.drawn = { since: performance.now(), count: 0 };
    this.listen();
  }

  listen() {
    this.files = new Files((files, purpose) => this.take(files, purpose));
    const groups = [...new Set(clips.map(({ group }) => group))].map((group) =>
      element(
        "optgroup",
        { label: group },
        ...clips
          .filter((clip) => clip.group === group)
          .map(({ file, title }) => element("option", { value: file, text: title })),
      ),
    );
    byId("clip").append(...groups);
    byId("clip").addEventListener("change", async () => {
      clearProblem();
      await guarded(() => this.openClip(byId("clip").value))();
      this.nameSource(); // as it is, also if the clip could not be opened
    });
    byId("own-model").addEventListener(
      "click",
      guarded(() => {
        clearProblem();
        return this.model.openOwn();
      }),
    );
    byId("use-camera").addEventListener("click", () => {
      if (this.camera.stream) {
        clearProblem();
        this.camera.stop();
        return;
      }
      const target = this.camera.pose ? byId("start-camera") : byId("open-pose");
      byId("camera-card").scrollIntoView({ block: "center" });
      target.focus();
    });
  }

  async start() {
    document.body.dataset.started = "true";
    requestAnimationFrame((time) => this.tick(time));
    await guarded(() => this.openClip(clips[0].file))();
    await guarded(async () => {
      refuseOldBrowser();
      await this.model.openOwn();
    })();
    if (!this.model.student) write(byId("model-name"), "No model is open.");
    if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) this.setPlaying(true);
    document.body.dataset.ready = "true"; // for tests
  }

  // --- files

  async take(files, purpose) {
    clearProblem();
    const found = purpose === "pose" ? { kind: "onnx", files } : await sorted(files, Boolean(this.model.pending.facts));
    if (found.kind === "recording") {
      const recording = await this.reading.read(found.files);
      if (recording) this.openRecording(recording);
      return undefined;
    }
    refuseOldBrowser();
    found.files.forEach(refuseLargeModel);
    if (found.kind === "model") return this.model.take(found.files);
    return naming(found.files[0], () => this.openOnnx(found.files[0], purpose));
  }

  /** Open a .onnx without a description: a pose model, or a student whose .json is still to come. */
  async openOnnx(file, purpose) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (purpose !== "pose") {
      const { session, inputs } = await this.engine.open(bytes);
      await this.engine.close(session);
      if (inputs.some(({ name }) => name === "joints")) return this.model.take([file]);
      if (purpose === "model") throw new Problem(NO_STUDENT);
    }
    await this.camera.open(bytes, shown(file.name));
    byId("camera-card").scrollIntoView({ block: "nearest" });
    return undefined;
  }

  async openClip(file) {
    const clip = clips.find((each) => each.file === file);
    if (!clip) return;
    this.reading.cancel();
    const wanted = (this.wanted = {});
    const recording = readNpy(clip.title, await fetched(clip.file));
    if (this.wanted === wanted) this.openRecording({ ...recording, fps: clip.fps, layout: clip.layout }, clip.file);
  }

  openRecording(recording, clip = OWN_FILE) {
    const isFile = clip === OWN_FILE;
    const startsItself = isFile && !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const isPlaying = this.playback?.isPlaying || startsItself;
    Object.assign(this, { recording, clip, wanted: null });
    if (!this.camera.stop()) this.begin();
    this.setPlaying(isPlaying);
    tell(`${shown(recording.name)} is open.`);
  }

  /** Let the menu of clips name what is shown. */
  nameSource() {
    const menu = byId("clip");
    menu.querySelectorAll("option[data-own]").forEach((option) => option.remove());
    const isLive = Boolean(this.camera.stream);
    const value = isLive ? CAMERA : this.clip;
    const text = isLive ? "Camera" : shown(this.recording?.name ?? "");
    if ([CAMERA, OWN_FILE].includes(value)) menu.prepend(element("option", { value, text, "data-own": true }));
    if (value) menu.value = value;
  }

  // --- what is shown

  /** Begin with the present source and the present student. */
  begin() {
    clearNote();
    this.teach.interrupt("another recording, camera or model was opened");
    this.nameSource();
    if (this.camera.stream) this.beginCamera();
    else if (this.recording) this.beginRecording();
  }

  beginCamera() {
    this.playback = null;
    this.transport.setPlaying(false);
    this.transport.show(null);
    write(byId("source-title"), "Camera");
    this.stage.show(this.camera.layout, this.camera.scene);
    this.adapter = null;
    try {
      this.adapter = this.model.student && this.camera.adapter(this.model.student.facts.layout);
    } catch (error) {
      showProblem(error);
    }
    this.recognition.begin(this.adapter ? this.model.student : null, this.camera.shown, true);
    this.search.allow(false); // a camera has no end
    this.sayWhoIsLeftOut(null);
  }

  beginRecording() {
    const { recording } = this;
    const { student } = this.model;
    const before = this.playback?.recording === recording ? this.playback : null;
    let fit = null;
    try {
      const found = student && fitted(recording, student.facts.layout, this.layouts);
      fit = found && confident(found.recording, student.facts.input.min_confidence ?? 0);
      if (found?.mappedFrom)
        note(`The joints of ${found.mappedFrom} are given to the model as those of ${student.facts.layout.name}.`);
    } catch (error) {
      showProblem(error);
    }
    this.playback = new Playback(recording, this.layoutOf(recording), fit);
    this.playback.isPlaying = before?.isPlaying ?? false;
    this.playback.speed = Number(byId("speed").value);
    write(byId("source-title"), shown(recording.name));
    this.stage.show(this.playback.layout, this.playback.scene);
    this.transport.show(this.playback);
    this.recognition.begin(fit ? student : null, this.playback.duration, recording.bodies > 1);
    this.search.allow(Boolean(fit));
    this.sayWhoIsLeftOut(recording);
    const bodies = student?.facts.input.shape[1] ?? 0;
    const isOneAction = this.playback.duration <= LONGEST_WHOLE_S && recording.bodies <= bodies;
    if (fit && isOneAction) guarded(() => this.recognition.whole(inputOf(fit, bodies)))();
  }

  /** Say how many people of a recording are shown and recognised, if not all are. */
  sayWhoIsLeftOut(recording) {
    const { bodies = 0, frames = 0, hasMore = false } = recording ?? {};
    const most = DEFAULTS.most_bodies;
    const told = [];
    if (hasMore) told.push(`There are more people in the file than the ${bodies} that are shown.`);
    if (bodies > most) told.push(`${bodies} people are shown, and at most ${most} at a time are recognised.`);
    if (bodies > Math.max(most, frames))
      told.push("Are two axes exchanged? The first is the people, the second the frames.");
    byId("left-out").hidden = !told.length;
    write(byId("left-out"), told.join(" "));
  }

  /** Return the layout in which a recording is drawn; one without lines if it is unknown. */
  layoutOf({ layout, joints, coordinates }) {
    const own = this.model.student?.facts.layout;
    if (own && own.joints.length === joints && own.coordinates === coordinates && [own.name, ""].includes(layout))
      return own;
    const known = this.layouts.named(layout) ?? this.layouts.ofSize(joints, coordinates)[0];
    const names = Array.from({ length: joints }, (_, joint) => `joint ${joint + 1}`);
    const name = `unknown${joints}_${coordinates}d`;
    return known ?? { name, joints: names, bones: [], root: 0, center: 0, mirror: [], coordinates };
  }

  get source() {
    const isLive = Boolean(this.camera.stream);
    return {
      isLive,
      play: () => this.setPlaying(true),
      layout: isLive ? this.camera.layout : (this.playback?.layout ?? null),
    };
  }

  // --- time

  setPlaying(isPlaying) {
    if (!this.playback) return;
    this.playback.isPlaying = isPlaying;
    this.transport.setPlaying(isPlaying);
    if (!isPlaying) this.teach.interrupt("it was paused");
  }

  seek(frame) {
    this.teach.interrupt("the time was moved");
    this.recognition.jump(this.playback.time);
    const context = this.playback.seek(frame);
    this.stage.isStale = true;
    clearTimeout(this.settling);
    this.settling = setTimeout(
      guarded(() => this.prime(context)),
      SETTLED_MS,
    );
  }

  /** Let the student see the frames before the one that was jumped to. */
  async prime(frames) {
    const { playback, recognition } = this;
    if (!playback?.fit || playback.isPlaying) return;
    recognition.isQuiet = true;
    recognition.driver?.restart();
    for (const frame of frames) recognition.take(playback.bodiesAt(frame), playback.ids, frame / playback.fps);
    await recognition.driver?.settled();
    recognition.isQuiet = false;
  }

  tick(now) {
    const seconds = (now - (this.before ?? now)) / 1000;
    this.before = now;
    guarded(() => this.update(now, seconds))();
    requestAnimationFrame((next) => this.tick(next));
  }

  update(now, seconds) {
    if (this.playback) this.play(seconds);
    const isMoving = this.playback?.isPlaying || this.camera.stream;
    if (isMoving || this.stage.isStale) {
      this.stage.draw(this.playback ? this.playback.peopleNow : this.camera.people, this.recognition.labels);
      this.drawn.count += 1;
    }
    this.recognition.show(now);
    this.measure(now, isMoving);
  }

  play(seconds) {
    const { playback } = this;
    const { passed, ended } = playback.advance(seconds);
    for (const frame of passed) {
      const time = frame / playback.fps;
      if (playback.fit) this.recognition.take(playback.bodiesAt(frame), playback.ids, time);
      this.teach.take(time, playback.peopleAt(frame));
    }
    if (ended) {
      this.recognition.finish();
      this.recognition.jump(playback.time);
      playback.rewind();
    }
    this.recognition.timeline.move(playback.time);
    this.transport.show(playback);
  }

  takeCamera(time, people) {
    this.teach.take(time, people);
    if (this.adapter)
      this.recognition.take(
        people.map(({ joints }) => this.adapter(joints)),
        people.map(({ id }) => id),
        time,
      );
    this.recognition.timeline.follow(time, this.camera.shown);
    write(byId("time"), `${time.toFixed(1)} s`);
  }

  measure(now, isMoving) {
    const span = now - this.drawn.since;
    if (span < 1000) return;
    write(byId("fps"), isMoving ? `${((1000 * this.drawn.count) / span).toFixed(0)} fps` : "– fps");
    this.drawn = { since: now, count: 0 };
  }
}

/** Open a file so that its problems name it. @param {File} file @param {() => Promise<any>} open */
async function naming({ name }, open) {
  try {
    return await open();
  } catch (error) {
    throw error instanceof Problem ? new Problem(`${shown(name)}: ${error.message}`) : error;
  }
}

if (window.location.protocol === "file:")
  byId("not-started").classList.remove("late"); // which says how to open it
else new App().start();
