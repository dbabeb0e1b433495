// Draws the timeline: a lane for each thread or handler, a bar for each span.
const { lanes, spans } = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("timeline");
const tip = document.getElementById("tip");
const pen = canvas.getContext("2d");
const LANE = 16, NAMES = 230, RULER = 18;
const COLORS = ["#2a7", "#d33", "#48c"], VERBS = ["holds", "wants", "calls"];
const last = spans.reduce((most, span) => Math.max(most, span[4]), 1);
let from = 0, width = last, top = 0;

const x = (time) => NAMES + ((time - from) / width) * (canvas.clientWidth - NAMES);
const time = (place) => from + ((place - NAMES) / (canvas.clientWidth - NAMES)) * width;

function draw() {
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = "11px system-ui";
  pen.textBaseline = "middle";
  const ink = getComputedStyle(document.body).color;
  for (const [lane, kind, , began, ended] of spans) {
    const left = Math.max(x(began), NAMES), right = x(ended);
    const y = RULER + lane * LANE - top;
    if (right < NAMES || left > canvas.clientWidth || y < RULER - LANE) continue;
    pen.fillStyle = COLORS[kind];
    pen.globalAlpha = kind === 2 ? 0.45 : 1;
    pen.fillRect(left, y + (kind === 2 ? 9 : 2), Math.max(1, right - left), kind === 2 ? 4 : 10);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = ink;
  lanes.forEach((name, lane) => {
    const y = RULER + lane * LANE - top;
    if (y >= RULER - 4) pen.fillText(name, 2, y + 8, NAMES - 8);
  });
  for (let step = 0; step < 8; step += 1) {
    const at = from + (width * step) / 8;
    pen.fillText(`${(at / 1e6).toFixed(width < 2e5 ? 5 : 2)} s`, Math.min(x(at), canvas.clientWidth - 60), 8);
  }
}

function clamp() {
  width = Math.min(Math.max(width, 100), last);
  from = Math.min(Math.max(from, 0), last - width);
  top = Math.min(Math.max(top, 0), Math.max(0, lanes.length * LANE + RULER - canvas.clientHeight));
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (event.shiftKey || event.offsetX < NAMES) {
    top += event.deltaY || event.deltaX;
  } else {
    const held = time(event.offsetX);
    const factor = Math.exp(event.deltaY / 400);
    const wanted = Math.min(Math.max(width * factor, 100), last);
    from = held - ((held - from) * wanted) / width;
    width = wanted;
  }
  clamp();
  draw();
}, { passive: false });

canvas.addEventListener("pointermove", (event) => {
  if (event.buttons) {
    from -= (event.movementX / (canvas.clientWidth - NAMES)) * width;
    top -= event.movementY;
    clamp();
    draw();
    return;
  }
  const lane = Math.floor((event.offsetY - RULER + top) / LANE);
  const near = (2 * width) / (canvas.clientWidth - NAMES);
  const at = time(event.offsetX);
  const hits = spans.filter((span) => span[0] === lane && span[3] - near <= at && at <= span[4] + near).slice(0, 3);
  const tell = ([, kind, what, began, ended]) =>
    `${VERBS[kind]} ${what} for ${((ended - began) / 1e3).toFixed(3)} ms from ${(began / 1e6).toFixed(6)} s`;
  tip.textContent = hits.length ? `${lanes[lane]} ${hits.map(tell).join("; ")}` : "";
});

window.addEventListener("resize", draw);
draw();
