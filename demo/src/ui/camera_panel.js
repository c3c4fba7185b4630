// The camera mode: the pose model that the user brings, and the people whom it finds.

import { Problem } from "../core/problem.js";
import { fitted, recordingOf } from "../core/recording.js";
import { openCamera, PoseModel } from "../pose/camera.js";
import list from "../pose/models.json";
import { byId, element, write } from "./dom.js";
import { clearProblem, guarded, showProblem, tell } from "./messages.js";
import { sceneOfPicture } from "./scene.js";

const LAYOUTS = { 17: "coco17_2d", 26: "halpe26_2d" };
const WORDS = /** @type {[string, string]} */ (["A person of the camera has", "People are shown"]);
const SHOWN_S = 20; // of the timeline

export class CameraPanel {
  /**
   * @param {import("../engine/engine.js").Engine} engine
   * @param {import("../core/layouts.js").Layouts} layouts
   * @param {{onStart: () => void, onStop: () => void, onPeople: (time: number, people: any[]) => void}} listeners
   */
  constructor(engine, layouts, listeners) {
    Object.assign(this, {
      engine,
      layouts,
      listeners,
      pose: null,
      stream: null,
      attempt: null, // to get a camera, while the browser asks
      people: [],
      video: byId("camera"),
    });
    byId("start-camera").addEventListener(
      "click",
      guarded(() => {
        clearProblem();
        return this.stream ? this.stop() : this.start();
      }),
    );
    this.listModels();
  }

  listModels() {
    const rows = list.models.map(({ name, licence, size, people, address }) =>
      element(
        "li",
        {},
        element("a", { href: address, rel: "noreferrer", target: "_blank", text: name }),
        ` · ${people} · ${size} · ${licence}`,
      ),
    );
    byId("pose-models").append(element("p", { class: "hint", text: list.note }), element("ul", {}, ...rows));
  }

  /** @param {Uint8Array} bytes @param {string} name */
  async open(bytes, name) {
    const pose = await PoseModel.load(this.engine, bytes, name);
    if (!LAYOUTS[pose.kind.joints]) {
      throw new Problem(
        `It finds ${pose.kind.joints} joints; this page knows what those of 17 (COCO) and 26 (Halpe) are.`,
      );
    }
    Object.assign(this, { pose, people: [] });
    const kind = pose.kind.kind === "simcc" ? "RTMPose, one person" : "YOLO-pose, several people";
    write(byId("pose-name"), `${name}: ${kind}, ${pose.kind.joints} joints, ${pose.kind.width} × ${pose.kind.height}`);
    byId("start-camera").disabled = false;
    if (this.stream) this.listeners.onStart();
    else tell("The pose model is open. The camera can be started.");
  }

  get layout() {
    return this.layouts.named(LAYOUTS[this.pose.kind.joints]);
  }

  async start() {
    if (!this.pose) throw new Problem("Open a pose model first: it finds the joints in the pictures of the camera.");
    if (this.attempt) return; // the browser is asking already
    const attempt = (this.attempt = {});
    write(byId("start-camera"), "Waiting for the camera…");
    try {
      const stream = await openCamera();
      if (this.attempt === attempt) await this.begin(stream);
      else release(stream); // something else was opened meanwhile
    } finally {
      if (this.attempt === attempt) this.attempt = null;
      this.name();
    }
  }

  async begin(stream) {
    Object.assign(this, { attempt: null, stream, began: performance.now(), people: [] });
    this.pose.forget();
    stream.getVideoTracks()[0].addEventListener("ended", () => this.lost(stream));
    this.video.srcObject = stream;
    this.video.hidden = false;
    try {
      await this.video.play();
    } catch (error) {
      if (this.stream !== stream) return; // it was stopped before its first picture
      this.stop();
      throw new Problem(`The camera gives no picture (${error.name}). Start it again.`);
    }
    if (this.stream !== stream) return;
    byId("stage").scrollIntoView({ block: "center" });
    this.listeners.onStart();
    this.work(stream).catch(
      guarded((error) => {
        this.stop();
        throw error;
      }),
    );
  }

  lost(stream) {
    if (this.stream !== stream) return;
    this.stop();
    showProblem(new Problem("The camera has ended: it was disconnected, or another program took it. Start it again."));
  }

  /** Stop the camera, or wait for it no more; return whether it was on. */
  stop() {
    const { stream } = this;
    Object.assign(this, { stream: null, attempt: null });
    if (!stream) return false;
    release(stream);
    this.video.srcObject = null;
    this.video.hidden = true;
    this.name();
    this.listeners.onStop();
    return true;
  }

  /** Name the buttons of this card and of the viewer. */
  name() {
    write(byId("start-camera"), this.stream ? "Stop camera" : "Start camera");
    write(byId("use-camera"), this.stream ? "Stop camera" : "Camera");
  }

  async work(stream) {
    let seen = -1;
    while (this.stream === stream) {
      await new Promise(requestAnimationFrame);
      if (this.video.currentTime === seen) continue; // no new picture yet
      seen = this.video.currentTime;
      const time = this.time;
      const { people } = await this.pose.find(this.video, time);
      if (this.stream !== stream) return;
      this.people = people.map(({ name, joints }) => ({ id: name, joints }));
      this.listeners.onPeople(time, this.people);
    }
  }

  get time() {
    return (performance.now() - this.began) / 1000;
  }

  get scene() {
    return sceneOfPicture(this.video.videoWidth || 640, this.video.videoHeight || 480);
  }

  get shown() {
    return SHOWN_S;
  }

  /**
   * Return what gives joints of the camera in the layout of a student; null if they do not fit.
   * @param {import("../core/layouts.js").Layout} layout
   */
  adapter(layout) {
    const own = this.layout;
    const one = (joints) =>
      recordingOf({
        name: "camera",
        bodies: 1,
        frames: 1,
        joints: own.joints.length,
        coordinates: 2,
        data: joints,
        layout: own.name,
      });
    // This throws if they do not fit.
    fitted(one(new Float32Array(own.joints.length * 2).fill(1)), layout, this.layouts, WORDS);
    return (joints) => fitted(one(joints.slice()), layout, this.layouts).recording.data;
  }
}

function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}
