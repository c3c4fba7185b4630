// The labels above people, each at a place where it covers no other one. If there is no room for all, their numbers stay.

const FONT_PIXELS = 13;
const HEIGHT = 22;
const PADDING = 7;
const GAP = 3; // between labels
const ABOVE = 26; // from the highest joint to the middle of a label
const EDGE = 4;
const MOST_STEPS = 12;
const DOWN_COST = 1.5; // below is the person; above is free
const CALM = 6; // more room that a label needs to return to its own place, so that it does not flicker

/** @typedef {{left: number, top: number, width: number, height: number}} Box */
/** @typedef {{top: number, width: number, height: number}} Area */

// Where a label may be, in its own widths and heights from its place; the nearest ones first.
const PLACES = [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]
  .flatMap((right) => Array.from({ length: 2 * MOST_STEPS + 1 }, (_, step) => ({ right, down: step - MOST_STEPS })))
  .map((place) => ({
    ...place,
    cost: 3 * Math.abs(place.right) + Math.abs(place.down) * (place.down > 0 ? DOWN_COST : 1),
  }))
  .sort((one, other) => one.cost - other.cost);

/**
 * Return a place for a label that is free; null if there is none.
 * @param {Box} wanted
 * @param {Box[]} taken
 * @param {Area} area
 * @param {number} gap
 * @param {{right: number, down: number}} [before] where it was in the last picture
 */
export function placed(wanted, taken, area, gap, before = PLACES[0]) {
  const at = ({ right, down }) => ({
    ...wanted,
    left: within(wanted.left + right * Math.max(wanted.width, 3 * wanted.height), gap, area.width - wanted.width - gap),
    top: within(wanted.top + down * (wanted.height + gap), area.top + gap, area.height - wanted.height - gap),
  });
  const isFree = (box, room) => taken.every((other) => !overlap(box, other, room));
  const own = at(PLACES[0]);
  const room = before === PLACES[0] ? gap : gap + CALM;
  if (isFree(own, room)) return { box: own, place: PLACES[0] };
  for (const place of [before, ...PLACES]) {
    const box = at(place);
    if (isFree(box, gap - 0.5)) return { box, place };
  }
  return null;
}

const within = (value, low, high) => Math.max(Math.min(value, high), low);

function overlap(one, other, gap) {
  return (
    one.left < other.left + other.width + gap &&
    other.left < one.left + one.width + gap &&
    one.top < other.top + other.height + gap &&
    other.top < one.top + one.height + gap
  );
}

/** Draws labels, and remembers where they were. */
export class Labels {
  constructor() {
    this.before = new Map();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {{id: any, number: string, text: string, x: number, y: number}[]} wanted x and y are the highest joint's
   * @param {Area} area
   * @param {number} ratio pixels of the canvas for each of the page
   * @param {{ink: string, background: string}} palette
   */
  draw(context, wanted, area, ratio, palette) {
    context.font = `600 ${FONT_PIXELS * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    let found = this.fit(context, wanted, area, ratio);
    if (found.length < wanted.length) {
      const numbers = wanted.filter(({ number }) => number).map((label) => ({ ...label, text: "" }));
      found = this.fit(context, numbers, area, ratio);
    }
    for (const label of found) drawLine(context, label, ratio, palette);
    for (const label of found) drawLabel(context, label, ratio, palette);
    this.before = new Map(found.map(({ id, place }) => [id, place]));
  }

  /** Return the labels for which there is room, with what they say and where. */
  fit(context, wanted, area, ratio) {
    const found = [];
    for (const { id, number, text, x, y } of wanted) {
      const said = [number, text].filter(Boolean).join("  ");
      const width = Math.min(context.measureText(said).width + 2 * PADDING * ratio, area.width - 2 * EDGE * ratio);
      const own = { left: x - width / 2, top: y - (ABOVE + HEIGHT / 2) * ratio, width, height: HEIGHT * ratio };
      const taken = found.map(({ box }) => box);
      const fit = placed(own, taken, area, GAP * ratio, this.before.get(id));
      if (fit) found.push({ id, said, x, y, ...fit });
    }
    return found;
  }
}

/** Draw a line from a label to its person, if it is not right above. */
function drawLine(context, { x, y, box: { left, top, width, height } }, ratio, palette) {
  const isNear = x >= left && x <= left + width && Math.abs(y - top - height / 2) <= 2 * height;
  if (isNear) return;
  context.globalAlpha = 0.5;
  context.strokeStyle = palette.ink;
  context.lineWidth = ratio;
  context.beginPath();
  context.moveTo(within(x, left + height / 2, left + width - height / 2), top + height / 2);
  context.lineTo(x, y);
  context.stroke();
}

function drawLabel(context, { box: { left, top, width, height }, said }, ratio, palette) {
  context.globalAlpha = 0.9;
  context.fillStyle = palette.ink;
  context.beginPath();
  context.roundRect(left, top, width, height, height / 2);
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = palette.background;
  context.fillText(said, left + width / 2, top + height / 2 + ratio, width - PADDING * ratio);
}
