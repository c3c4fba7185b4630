// Joint layouts: which joints there are, how they are drawn, and how those of one layout make those of another.

/**
 * @typedef {object} Layout
 * @property {string} name
 * @property {string[]} joints
 * @property {[number, number][]} bones child and parent
 * @property {number} root
 * @property {number} center
 * @property {[number, number][]} mirror left and right
 * @property {number} coordinates 2 in a picture (y down), 3 in space (y up)
 * @property {[number, number][]} [extra_edges]
 */

/** The layouts that come with the page. */
export class Layouts {
  /** @param {{layouts: Record<string, Layout>, maps: Record<string, number[][]>}} content of layouts.json */
  constructor({ layouts, maps }) {
    this.known = layouts;
    this.maps = maps;
  }

  /** @param {string} name @returns {Layout | undefined} */
  named(name) {
    return Object.hasOwn(this.known, name) ? this.known[name] : undefined;
  }

  /**
   * Return the layouts of so many joints and coordinates.
   * @param {number} joints
   * @param {number} coordinates
   */
  ofSize(joints, coordinates) {
    return Object.values(this.known).filter(
      (each) => each.joints.length === joints && each.coordinates === coordinates,
    );
  }

  /**
   * Return which joints of the source make each joint of the target; null if there is no map.
   * @param {string} source
   * @param {string} target
   * @returns {number[][] | null}
   */
  map(source, target) {
    return this.maps[`${source}>${target}`] ?? null;
  }
}

/** Return the side of a joint: left, right or trunk. @param {Layout} layout @param {number} joint */
export function sideOf(layout, joint) {
  if (layout.mirror.some(([left]) => left === joint)) return "left";
  return layout.mirror.some(([, right]) => right === joint) ? "right" : "trunk";
}

/** @param {Layout} layout @param {string[]} parts words in the names of joints */
function jointsOf(layout, parts) {
  return layout.joints.flatMap((name, joint) => (name.split("_").some((word) => parts.includes(word)) ? [joint] : []));
}

/**
 * Return what the drawing needs of a layout, as `plots.player` does.
 * @param {Layout} layout
 * @param {string[]} face words in the names of joints of the face
 */
export function skeletonOf(layout, face) {
  const bones = layout.bones.map(([child, parent]) => [child, parent, sideOf(layout, child)]);
  const extra = (layout.extra_edges ?? []).map(([one, other]) => {
    const side = sideOf(layout, one);
    return [one, other, side === sideOf(layout, other) ? side : "trunk"];
  });
  const named = layout.joints.indexOf("head");
  const pair = [["ear"], ["eye"]].map((part) => jointsOf(layout, part)).find((found) => found.length === 2);
  return {
    joints: layout.joints.length,
    coordinates: layout.coordinates,
    flat: layout.coordinates === 2,
    lines: [...bones, ...extra],
    head: named >= 0 ? [named] : (pair ?? []),
    face: jointsOf(layout, face),
  };
}
