/** Small pictures that are drawn once and then copied: a path costs several times what its picture does. */

/** More than signs, terms and states of entries make together. */
const MOST = 400;

export class Sprites {
  constructor() {
    /** @type {Map<string, ImageBitmap>} */
    this.made = new Map();
    /** @type {import("oarlock/paint.js").Palette | undefined} */
    this.colours = undefined;
    this.ratio = 1;
  }

  /** What follows is drawn in these colours, for a screen with so many pixels in one of the page's.
   * @param {import("oarlock/paint.js").Palette} colours @param {number} ratio */
  begin(colours, ratio) {
    if (this.colours !== colours || this.ratio !== ratio || this.made.size > MOST) this.made.clear();
    Object.assign(this, { colours, ratio });
  }

  /** A picture by its name, made if it is not there yet.
   * @param {string} name Says everything that the picture depends on. @param {number} width @param {number} height
   * @param {(context: OffscreenCanvasRenderingContext2D) => void} paint Draws it, from the left upper corner. */
  picture(name, width, height, paint) {
    let found = this.made.get(name);
    if (!found) {
      const sheet = new OffscreenCanvas(Math.ceil(width * this.ratio), Math.ceil(height * this.ratio));
      const context = /** @type {OffscreenCanvasRenderingContext2D} */ (sheet.getContext("2d"));
      context.scale(this.ratio, this.ratio);
      paint(context);
      // A canvas that is copied from is asked each time whether it has changed.
      found = sheet.transferToImageBitmap();
      this.made.set(name, found);
    }
    return found;
  }

  /** Put a picture around a point, on whole pixels of the screen: between them it would have to be drawn anew.
   * @param {CanvasRenderingContext2D} context @param {string} name @param {number} x @param {number} y
   * @param {number} reach How far it goes from the point. @param {(context: OffscreenCanvasRenderingContext2D) => void} paint
   * Draws it around the origin. */
  stamp(context, name, x, y, reach, paint) {
    const { ratio } = this;
    const found = this.picture(name, 2 * reach, 2 * reach, (made) => {
      made.translate(reach, reach);
      paint(made);
    });
    context.drawImage(found, Math.round((x - reach) * ratio) / ratio, Math.round((y - reach) * ratio) / ratio, found.width / ratio, found.height / ratio);
  }
}
