/** Shapes on a canvas. */

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} radius @param {string} colour @param {number} strength */
export function disc(context, x, y, radius, colour, strength) {
  const was = context.globalAlpha;
  context.globalAlpha = was * strength;
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
  context.globalAlpha = was;
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} radius @param {string} colour
 * @param {number} width @param {number[]} dash */
export function ring(context, x, y, radius, colour, width, dash) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
export function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} size @param {string} colour @param {number} width */
export function cross(context, x, y, size, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  line(context, x - size, y - size, x + size, y + size);
  line(context, x + size, y - size, x - size, y + size);
}
