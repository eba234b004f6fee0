"use strict";

// One latent is shown, `u`, in standard deviations from the centre of the prior, one
// number a dimension. Whatever a person does sets it, and `show` has it decoded.

const $ = (id) => document.getElementById(id);
const STEPS = 11; // of the way that is shown whole

let run; // what the server says of the run, see `Explorer.state`
let u = [];
let condition = null;
let temperature = 0; // of the levels below the top, in hierarchies
let ends = []; // places in `run.examples`: start, then end
let chosen = null; // the condition for all of a way; null: each half has its end's
let sliders = []; // by the order of `run.sliders`
let playing = false;

async function ask(path, question) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
  });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

function trouble(error) {
  $("trouble").hidden = false;
  $("trouble").textContent = `That did not work: ${error.message}`;
}

// Puts what an answer holds into a picture or a link, and lets go of what was there.
async function put(response, ...elements) {
  const url = URL.createObjectURL(await response.blob());
  for (const element of elements) {
    const name = element.tagName === "IMG" ? "src" : "href";
    const before = element[name];
    element[name] = url;
    element.hidden = false;
    if (name === "src") {
      await element.decode();
      if (before.startsWith("blob:")) URL.revokeObjectURL(before);
    }
  }
}

// While an answer is awaited only the newest question is kept.
let asking = false;
let changed = false;

async function show(what) {
  if (what !== undefined) $("what").textContent = what;
  sliders.forEach(placeSlider);
  placeMarker();
  saveLatent();
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    const began = performance.now();
    try {
      const response = await ask("decode", { u: [u], condition, temperature });
      await put(response, $("picture"), $("save-picture"));
      const time = Math.round(performance.now() - began);
      $("time").textContent = `(${time} ms)`;
      $("picture").dataset.time = time;
      $("picture").dataset.number = 1 + Number($("picture").dataset.number || 0);
      $("trouble").hidden = true;
    } catch (error) {
      trouble(error);
    }
  }
  asking = false;
}

function latent() {
  return u.map((value, dim) => run.centre[dim] + value * run.unit[dim]);
}

function saveLatent() {
  const content = { run: run.name, z: latent(), standard_deviations: u, condition };
  if (run.hierarchical) content.temperature = temperature;
  const text = JSON.stringify(content, null, 2);
  $("save-latent").href = `data:application/json,${encodeURIComponent(text)}`;
}

// Sliders.

function signed(value) {
  return (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(2);
}

function placeSlider(slider) {
  slider.input.value = u[slider.dim];
  slider.output.textContent = signed(u[slider.dim]);
}

function makeSlider({ dim, weight }) {
  const row = document.createElement("label");
  row.className = "slider";
  const name = document.createElement("span");
  name.textContent = `z${subscript(dim)}`;
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: -run.reach, max: run.reach, step: 0.05 });
  input.id = `z${dim}`;
  const output = document.createElement("output");
  const share = document.createElement("span");
  share.className = weight < 0.01 ? "weight faint" : "weight";
  share.textContent = weight.toFixed(2);
  share.title = run.weight;
  row.append(name, input, output, share);
  input.addEventListener("input", () => {
    playing = false;
    u[dim] = Number(input.value);
    show("a latent set by hand");
  });
  return { dim, row, input, output };
}

function subscript(number) {
  return String(number).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
}

// The map: a plane through the latent space, z = origin + x axes[0] + y axes[1].

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
  playing = false;
  const used = place.slice(0, run.map.axes.length);
  u = u.map((_, dim) => {
    const z = run.map.axes.reduce(
      (sum, axis, k) => sum + axis[dim] * used[k], run.map.origin[dim]);
    return (z - run.centre[dim]) / run.unit[dim];
  });
  show("a place on the map");
}

function drawMap() {
  const { canvas } = map;
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
  run.map.points.forEach((point, row) => {
    pen.fillStyle = run.map.colors[run.map.classes[row]] || "#949494";
    const [x, y] = inPixels(point);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  });
  placeMarker();
}

function drawAxes(pen, scale) {
  const [horizontal, vertical] = run.map.limits;
  pen.strokeStyle = "#eeeeee";
  pen.fillStyle = "#888888";
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
  const ring = (x, y, radius, color, width) => {
    pen.beginPath();
    pen.arc(x, y, radius * scale, 0, 2 * Math.PI);
    pen.strokeStyle = color;
    pen.lineWidth = width * scale;
    pen.stroke();
  };
  const [x, y] = inPixels(onPlane());
  ring(x, y, 8, "#ffffff", 5);
  ring(x, y, 8, "#111111", 2.5);
}

function placeOf(event) {
  const box = map.canvas.getBoundingClientRect();
  const [[left, right], [bottom, top]] = run.map.limits;
  return [
    left + ((event.clientX - box.left) / box.width) * (right - left),
    top - ((event.clientY - box.top) / box.height) * (top - bottom),
  ];
}

function startMap() {
  map.canvas = $("map");
  map.canvas.addEventListener("pointerdown", (event) => {
    map.canvas.setPointerCapture(event.pointerId);
    goTo(placeOf(event));
  });
  map.canvas.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) goTo(placeOf(event));
  });
  map.canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const step = (run.map.limits[0][1] - run.map.limits[0][0]) / 80;
    goTo(onPlane().map((value, k) => value + way[k] * step));
  });
  const axes = run.map.axes.length === 2 ? ["→ ", "↑ "] : ["→ ", "rows: "];
  $("map-x").textContent = axes[0] + run.map.labels[0];
  $("map-y").textContent = axes[1] + run.map.labels[1];
  const beyond = run.map.outside, count = run.map.points.length;
  if (beyond) $("outside").textContent = ` ${beyond} of ${count} examples lie outside.`;
  run.map.names.forEach((name, k) => {
    const item = document.createElement("span");
    item.textContent = name;
    item.style.setProperty("--color", run.map.colors[k]);
    $("legend").append(item);
  });
  new ResizeObserver(drawMap).observe(map.canvas);
}

// Walks.

async function startExamples() {
  const sheet = new Image();
  sheet.src = "thumbnails";
  await sheet.decode();
  const count = run.examples.length;
  const scale = Math.min(8, (46 * count) / sheet.naturalHeight, 80 / sheet.naturalWidth);
  // Whole pixels, so that no example shows the edge of the next.
  const height = Math.round((sheet.naturalHeight / count) * scale);
  const width = Math.round(sheet.naturalWidth * scale);
  run.examples.forEach(({ name }, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "example";
    button.title = name;
    button.setAttribute("role", "option");
    button.setAttribute("aria-label", name);
    Object.assign(button.style, {
      boxSizing: "content-box",
      width: `${width}px`,
      height: `${height}px`,
      backgroundImage: "url(thumbnails)",
      backgroundSize: `${width}px ${height * count}px`,
      backgroundPosition: `0 ${-place * height}px`,
      imageRendering: scale < 1 ? "auto" : "pixelated",
      backgroundOrigin: "content-box",
      backgroundClip: "content-box",
    });
    button.addEventListener("click", () => pick(place));
    $("examples").append(button);
  });
}

async function pick(place) {
  ends = ends.length === 1 ? [ends[0], place] : [place];
  [...$("examples").children].forEach((button, k) => {
    button.classList.toggle("start", k === ends[0]);
    button.classList.toggle("end", ends.length === 2 && k === ends[1]);
    button.setAttribute("aria-selected", ends.includes(k));
  });
  playing = false;
  $("play").disabled = $("t").disabled = ends.length < 2;
  $("way").hidden = $("save-walk").hidden = true;
  chosen = null;
  if (ends.length === 1) {
    condition = run.examples[place].condition;
    placeCondition();
    u = [...run.examples[place].u];
    show(`reconstruction of ${run.examples[place].name}`);
    return;
  }
  walkTo(0);
  showWay();
}

function between(t) {
  const [a, b] = ends.map((place) => run.examples[place].u);
  return a.map((value, dim) => (1 - t) * value + t * b[dim]);
}

function conditionAt(t) {
  return chosen || run.examples[ends[t > 0.5 ? 1 : 0]].condition;
}

function walkTo(t) {
  $("t").value = t;
  $("t-value").textContent = `t = ${t.toFixed(2)}`;
  u = between(t);
  condition = conditionAt(t);
  placeCondition();
  return show(`t = ${t.toFixed(2)} of the way`);
}

async function showWay() {
  if (ends.length < 2) return;
  const steps = Array.from({ length: STEPS }, (_, k) => k / (STEPS - 1));
  const way = { u: steps.map(between), condition: steps.map(conditionAt), temperature };
  const [a, b] = [way.u[0], way.u[STEPS - 1]];
  try {
    await put(await ask("decode", way), $("way"));
    const given = [conditionAt(0), conditionAt(1)];
    await put(await ask("walk", { a, b, condition: given, temperature }), $("save-walk"));
  } catch (error) {
    trouble(error);
  }
}

async function play() {
  playing = !playing;
  $("play").textContent = playing ? "Stop" : "Play";
  let step = Math.round(Number($("t").value) * 100);
  let direction = step >= 100 ? -1 : 1;
  while (playing) {
    await new Promise((resume) => setTimeout(resume, 30));
    if (!playing) break;
    step += 2 * direction;
    if (step <= 0 || step >= 100) direction = -direction;
    await walkTo(Math.min(Math.max(step, 0), 100) / 100);
  }
  $("play").textContent = "Play";
}

// Conditions and draws.

function placeCondition() {
  if (condition) $("condition").value = JSON.stringify(condition);
}

function startCondition() {
  condition = run.condition;
  if (!condition) return;
  const choices = run.conditions
    ? run.conditions.map(({ label, name }) => [{ label }, name])
    : run.examples.map(({ name }, example) => [{ example }, `that of ${name}`]);
  for (const [value, name] of choices) {
    $("condition").add(new Option(name, JSON.stringify(value)));
  }
  $("condition-row").hidden = false;
  placeCondition();
  $("condition").addEventListener("change", () => {
    condition = chosen = JSON.parse($("condition").value);
    show();
    showWay();
  });
}

function startTemperature() {
  $("temperature-row").hidden = !run.hierarchical;
  $("temperature").addEventListener("input", () => {
    temperature = Number($("temperature").value);
    $("temperature-value").textContent = temperature.toFixed(2);
    show();
  });
  $("temperature").addEventListener("change", showWay);
}

async function draw(source) {
  playing = false;
  try {
    u = (await (await ask("draw", { source, condition })).json()).u;
    show(source === "prior" ? "drawn from the prior" : "drawn from the aggregate posterior");
  } catch (error) {
    trouble(error);
  }
}

async function start() {
  run = await (await fetch("state")).json();
  document.title = `${run.name} – latent explorer`;
  $("name").textContent = run.name;
  $("title").textContent = run.title;
  const all = run.sliders.length === run.latent_dim;
  $("order").textContent =
    (run.weight.startsWith("KL") ? "by KL (right, in nats)" : "by how much they vary (right)") +
    (all ? "" : `; the first ${run.sliders.length} of ${run.latent_dim}`);
  $("aggregate").title = run.fitted
    ? "From the density that was fitted to all latents"
    : "From the posterior of an example chosen at random";
  u = run.centre.map(() => 0);
  startCondition();
  startTemperature();
  sliders = run.sliders.map(makeSlider);
  $("sliders").append(...sliders.map(({ row }) => row));
  startMap();
  $("centre").addEventListener("click", () => {
    playing = false;
    u = u.map(() => 0);
    show("the centre");
  });
  for (const source of ["prior", "aggregate"]) {
    $(source).hidden = !run.sources.includes(source);
    $(source).addEventListener("click", () => draw(source));
  }
  $("t").addEventListener("input", () => {
    playing = false;
    walkTo(Number($("t").value));
  });
  $("play").addEventListener("click", play);
  await Promise.all([startExamples(), show("the centre")]);
  document.body.dataset.ready = "yes";
}

start().catch(trouble);
