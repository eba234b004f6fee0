"use strict";

// The map: a plane through the latent space, z = origin + x axes[0] + y axes[1], with
// examples in it.

const NEAR = { mouse: 7, pen: 9, touch: 14 }; // pixels from a point that are still on it

const map = { canvas: null, points: null };

function inPixels([x, y]) {
  const [[left, right], [bottom, top]] = run.map.limits;
  const { width, height } = map.canvas;
  return [
    ((x - left) / (right - left)) * width,
    ((top - y) / (top - bottom)) * height,
  ];
}

function onPlane() {
  const z = latent();
  const place = run.map.axes.map((axis) => {
    const length = axis.reduce((sum, value) => sum + value * value, 0);
    const along = axis.reduce((sum, v, dim) => sum + v * (z[dim] - run.map.origin[dim]), 0);
    return along / length;
  });
  const [bottom, top] = run.map.limits[1];
  return place.length === 2 ? place : [place[0], (bottom + top) / 2];
}

function goTo(place) {
  stop();
  const used = place.slice(0, run.map.axes.length);
  u = u.map((_, dim) => {
    const z = run.map.axes.reduce(
      (sum, axis, k) => sum + axis[dim] * used[k], run.map.origin[dim]);
    return (z - run.centre[dim]) / run.unit[dim];
  });
  show("a place on the map", null);
}

// Drawing.

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((level) => {
    const share = level / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function levels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// A class's colour, lighter where it would be lost on a dark ground.
function visible(hex) {
  const ground = luminance(levels(color("--panel")));
  let rgb = levels(hex);
  const contrast = () => {
    const own = luminance(rgb);
    return (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
  };
  for (let k = 0; k < 20 && ground < 0.2 && contrast() < 3; k += 1) {
    rgb = rgb.map((level) => level + 0.1 * (255 - level));
  }
  return `rgb(${rgb.map(Math.round).join(" ")})`;
}

function drawMap() {
  const { canvas } = map;
  if (!canvas.clientWidth || !canvas.clientHeight) return;
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  map.points = document.createElement("canvas");
  map.points.width = canvas.width;
  map.points.height = canvas.height;
  const pen = map.points.getContext("2d");
  drawAxes(pen, scale);
  pen.globalAlpha = 0.65;
  const radius = (run.map.points.length > 800 ? 2 : 3) * scale;
  const colors = run.map.colors.map(visible);
  run.map.points.forEach((point, k) => {
    pen.fillStyle = colors[run.map.classes[k]] || visible("#949494");
    const [x, y] = inPixels(point);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  });
  [...$("legend").children].forEach((item, k) => {
    item.style.setProperty("--color", colors[k]);
  });
  placeMarker();
}

function drawAxes(pen, scale) {
  const [horizontal, vertical] = run.map.limits;
  pen.strokeStyle = color("--faint");
  pen.fillStyle = color("--quiet");
  pen.lineWidth = scale;
  pen.font = `${11 * scale}px system-ui, sans-serif`;
  const line = (from, to, text, dx, dy) => {
    pen.beginPath();
    pen.moveTo(...inPixels(from));
    pen.lineTo(...inPixels(to));
    pen.stroke();
    const [x, y] = inPixels(from);
    pen.fillText(text, x + dx * scale, y + dy * scale);
  };
  for (let k = 1; k < 8; k += 1) {
    const x = horizontal[0] + (k / 8) * (horizontal[1] - horizontal[0]);
    line([x, vertical[0]], [x, vertical[1]], x.toFixed(1).replace("-", "\u2212"), 3, -4);
    if (run.map.axes.length < 2) continue;
    const y = vertical[0] + (k / 8) * (vertical[1] - vertical[0]);
    line([horizontal[0], y], [horizontal[1], y], y.toFixed(1).replace("-", "\u2212"), 3, -4);
  }
}

function placeMarker() {
  if (!map.points) return;
  const pen = map.canvas.getContext("2d");
  pen.clearRect(0, 0, map.canvas.width, map.canvas.height);
  pen.drawImage(map.points, 0, 0);
  const scale = window.devicePixelRatio || 1;
  const ring = (x, y, radius, stroke, width) => {
    pen.beginPath();
    pen.arc(x, y, radius * scale, 0, 2 * Math.PI);
    pen.strokeStyle = stroke;
    pen.lineWidth = width * scale;
    pen.stroke();
  };
  const [x, y] = inPixels(onPlane());
  ring(x, y, 8, color("--panel"), 5);
  ring(x, y, 8, color("--ink"), 2.5);
}

// Pointing.

function placeOf(event) {
  const box = map.canvas.getBoundingClientRect();
  const [[left, right], [bottom, top]] = run.map.limits;
  return [
    left + ((event.clientX - box.left) / box.width) * (right - left),
    top - ((event.clientY - box.top) / box.height) * (top - bottom),
  ];
}

// The point nearest to a place, if it is no further than so many pixels; else -1.
function nearest(place, reach) {
  const [x, y] = inPixels(place);
  const scale = window.devicePixelRatio || 1;
  let best = -1;
  let least = (reach * scale) ** 2;
  run.map.points.forEach((point, k) => {
    const [px, py] = inPixels(point);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance <= least) [best, least] = [k, distance];
  });
  return best;
}

function nameOfPoint(k) {
  const name = run.map.names[run.map.classes[k]];
  const example = `example ${run.map.rows[k]}`;
  return name === undefined ? example : `${name} – ${example}`;
}

function point(k) {
  const box = $("pointed");
  map.canvas.style.cursor = k < 0 ? "" : "pointer";
  box.hidden = k < 0;
  if (k < 0) return;
  const source = `original?row=${run.map.rows[k]}`;
  if (!$("pointed-picture").src.endsWith(`/${source}`)) $("pointed-picture").src = source;
  $("pointed-name").textContent = nameOfPoint(k);
  const { width, height } = map.canvas;
  const [x, y] = inPixels(run.map.points[k]);
  const [right, below] = [x > width / 2, y > height / 2];
  // On the side where there is room for it.
  box.style.left = right ? "auto" : `calc(${(100 * x) / width}% + 14px)`;
  box.style.right = right ? `calc(${100 - (100 * x) / width}% + 14px)` : "auto";
  box.style.top = below ? "auto" : `${Math.max(0, (100 * y) / height)}%`;
  box.style.bottom = below ? `${Math.max(0, 100 - (100 * y) / height)}%` : "auto";
}

async function takePoint(k) {
  try {
    take(await (await ask("example", { row: run.map.rows[k] })).json());
  } catch (error) {
    trouble(error);
  }
}

function startMap() {
  map.canvas = $("map");
  let from = null; // where the button went down on an example, until it is dragged
  map.canvas.addEventListener("pointerdown", (event) => {
    map.canvas.setPointerCapture(event.pointerId);
    const k = nearest(placeOf(event), NEAR[event.pointerType] || NEAR.mouse);
    from = k < 0 ? null : [event.clientX, event.clientY];
    if (k < 0) goTo(placeOf(event));
    else takePoint(k);
  });
  map.canvas.addEventListener("pointermove", (event) => {
    if (!(event.buttons & 1)) {
      point(nearest(placeOf(event), NEAR.mouse));
      return;
    }
    if (from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) < 6) return;
    from = null;
    point(-1);
    goTo(placeOf(event));
  });
  map.canvas.addEventListener("pointerleave", () => point(-1));
  map.canvas.addEventListener("blur", () => point(-1));
  map.canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way && event.key !== "Enter") return;
    event.preventDefault();
    if (!way) {
      const k = nearest(onPlane(), Infinity);
      if (k >= 0) takePoint(k);
      return;
    }
    const step = (run.map.limits[0][1] - run.map.limits[0][0]) / 80;
    goTo(onPlane().map((value, k) => value + way[k] * step));
    point(nearest(onPlane(), NEAR.mouse));
  });
  const axes = run.map.axes.length === 2 ? ["→ ", "↑ "] : ["→ ", "rows: "];
  $("map-x").textContent = axes[0] + run.map.labels[0];
  $("map-y").textContent = axes[1] + run.map.labels[1];
  const beyond = run.map.outside, count = run.map.points.length;
  if (beyond) $("outside").textContent = ` ${beyond} of ${count} examples lie outside.`;
  run.map.names.forEach((name) => {
    const item = document.createElement("span");
    item.textContent = name;
    $("legend").append(item);
  });
  new ResizeObserver(drawMap).observe(map.canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
}
