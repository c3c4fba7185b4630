// Reads clips and draws their frames, with the conventions of `drawing.py`: x right, y up, z into the picture.
// Legend: M bodies, T frames, V joints, C coordinates.

const MISSING = -32768;

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Decodes the joints of one version of a clip: positions in radii of its scene, (M, T, V, 3), NaN where one is missing.
function decode(version, joints, coordinates) {
  const bytes = bytesOf(version.joints);
  const numbers = new DataView(bytes.buffer);
  const points = new Float32Array((bytes.length / 2 / coordinates) * 3);
  for (let joint = 0; joint < points.length / 3; joint++) {
    for (let axis = 0; axis < coordinates; axis++) {
      const number = numbers.getInt16(2 * (joint * coordinates + axis), true);
      const value = number * version.step + version.offset[axis];
      const { middle, radius } = version.scene;
      points[3 * joint + axis] = number === MISSING ? NaN : (value - middle[axis]) / radius;
    }
  }
  const confidence = version.confidence === null ? null : bytesOf(version.confidence);
  return { points, confidence, joints, frames: version.frames, bodies: version.bodies };
}

// Returns the camera's function from a point, in radii of the scene, to [right, up, depth]. In three dimensions x points left,
// y up and z away, which is right-handed: with x to the right, left and right of a body would be exchanged.
function camera(view, flat, eyeDistance) {
  const turn = flat ? 0 : (view.azimuth * Math.PI) / 180;
  const tilt = flat ? 0 : (view.elevation * Math.PI) / 180;
  const [cosTurn, sinTurn, cosTilt, sinTilt] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
  const toRight = flat ? 1 : -1;
  return (x, y, z) => {
    const right = cosTurn * toRight * x - sinTurn * z;
    const inward = sinTurn * toRight * x + cosTurn * z;
    const up = cosTilt * y + sinTilt * inward;
    const depth = cosTilt * inward - sinTilt * y;
    const nearness = eyeDistance / Math.max(eyeDistance + depth, eyeDistance / 10);
    return [right * nearness, up * nearness, depth];
  };
}

// Draws one frame on a canvas, with rings around the marked joints; returns how many lines and heads were drawn.
function drawFrame(context, size, clip, decoded, frame, view, shared, palette, showsConfidence, marked) {
  const { skeleton, version } = clip;
  const scale = (Math.min(size.width, size.height) / 2 / shared.margin) * view.zoom;
  const project = camera(view, skeleton.flat, shared.eye_distance);
  const place = ([right, up]) => [size.width / 2 + right * scale, size.height / 2 - up * scale];
  const limb = shared.limb_share * (version.scene.size / version.scene.radius) * scale;
  context.fillStyle = palette.background;
  context.fillRect(0, 0, size.width, size.height);
  context.lineCap = "round";

  const line = (first, second, width, colour, opacity) => {
    context.globalAlpha = opacity;
    context.strokeStyle = colour;
    context.lineWidth = Math.max(width, 1);
    context.beginPath();
    context.moveTo(...place(first));
    context.lineTo(...place(second));
    context.stroke();
  };
  const disc = (middle, radius, colour, opacity) => {
    context.globalAlpha = opacity;
    context.fillStyle = colour;
    context.beginPath();
    context.arc(...place(middle), Math.max(radius, 1), 0, 2 * Math.PI);
    context.fill();
  };
  if (!skeleton.flat) drawGrid(version.scene, shared, project, (first, second) => line(first, second, 1, palette.grid, 1));

  const strokes = [];
  let drawn = 0;
  for (let body = 0; body < decoded.bodies; body++) {
    const colours = palette.bodies[version.numbers[body] % palette.bodies.length];
    const start = (body * decoded.frames + frame) * decoded.joints;
    const point = (joint) => Array.from(decoded.points.subarray(3 * (start + joint), 3 * (start + joint) + 3));
    const opacity = (joint) =>
      decoded.confidence === null || !showsConfidence
        ? 1
        : shared.faintest + ((1 - shared.faintest) * decoded.confidence[start + joint]) / 255;
    const floor = version.scene.floors[body];
    for (const [first, second, side] of skeleton.lines) {
      const [one, other] = [point(first), point(second)];
      if (one.some(Number.isNaN) || other.some(Number.isNaN)) continue;
      if (!skeleton.flat && floor !== null) {
        line(project(one[0], floor, one[2]), project(other[0], floor, other[2]), limb * 1.1, palette.shadow, 1);
      }
      const ends = [project(...one), project(...other)];
      const depth = (ends[0][2] + ends[1][2]) / 2;
      const faint = Math.min(opacity(first), opacity(second));
      const halo = { depth: depth + shared.halo_depth, width: limb * shared.halo_width, colour: palette.background };
      strokes.push({ ends, opacity: faint, ...halo }, { ends, depth, width: limb, colour: colours[side], opacity: faint });
      drawn++;
    }
    const singles = skeleton.lines.length ? [] : [...Array(decoded.joints).keys()]; // a layout of one joint
    const head = skeleton.head.filter((joint) => !Number.isNaN(point(joint)[0]));
    for (const group of [...singles.map((joint) => [joint]), ...(head.length ? [head] : [])]) {
      if (Number.isNaN(point(group[0])[0])) continue;
      const middle = [0, 1, 2].map((axis) => group.reduce((sum, joint) => sum + point(joint)[axis], 0) / group.length);
      const end = project(...middle);
      const near = [...group, ...skeleton.face].map((joint) => project(...point(joint))[2]).filter((each) => !Number.isNaN(each));
      const faint = Math.min(...group.map(opacity));
      strokes.push({ ends: [end, end], depth: Math.min(...near), width: limb * shared.head_width, colour: colours.trunk, opacity: faint, isDisc: true });
      drawn++;
    }
  }
  strokes.sort((first, second) => second.depth - first.depth);
  for (const { ends, width, colour, opacity, isDisc } of strokes) {
    if (isDisc) disc(ends[0], width / 2, colour, opacity);
    else line(ends[0], ends[1], width, colour, opacity);
  }
  context.globalAlpha = 1;
  drawRings(context, decoded, frame, marked, (point) => place(project(...point)), Math.max(limb * 1.6, 6), palette.mark);
  return drawn;
}

function drawRings(context, decoded, frame, joints, place, radius, colour) {
  context.strokeStyle = colour;
  context.lineWidth = Math.max(radius / 4, 2);
  for (let body = 0; body < decoded.bodies; body++) {
    for (const joint of joints) {
      const at = 3 * ((body * decoded.frames + frame) * decoded.joints + joint);
      const point = decoded.points.subarray(at, at + 3);
      if (Number.isNaN(point[0])) continue;
      context.beginPath();
      context.arc(...place(point), radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}

function drawGrid(scene, shared, project, line) {
  const known = scene.floors.filter((floor) => floor !== null);
  if (!known.length) return;
  const level = known.reduce((sum, floor) => sum + floor, 0) / known.length;
  for (let number = 0; number < shared.grid_lines; number++) {
    const step = (2 * number) / (shared.grid_lines - 1) - 1;
    line(project(-1, level, step), project(1, level, step));
    line(project(step, level, -1), project(step, level, 1));
  }
}
