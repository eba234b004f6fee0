"use strict";

// The strip of examples, the walk between two of them, and images of the user's.

const STEPS = 11; // of the way that is shown whole

let ends = []; // places in `run.examples`: start, then end
let chosen = null; // the condition for all of a way; null: each half has its end's
let current = 0; // the example of the strip that the keyboard is at
const strip = { width: 0, height: 0, scale: 1 }; // of one example in it

async function startExamples() {
  const sheet = new Image();
  sheet.src = "thumbnails";
  await sheet.decode();
  const count = run.examples.length;
  const scale = Math.min(8, (46 * count) / sheet.naturalHeight, 80 / sheet.naturalWidth);
  // Whole pixels, so that no example shows the edge of the next.
  const height = Math.round((sheet.naturalHeight / count) * scale);
  const width = Math.round(sheet.naturalWidth * scale);
  Object.assign(strip, { width, height, scale });
  run.examples.forEach((example, place) => {
    const button = addThumbnail(example);
    button.style.backgroundImage = "url(thumbnails)";
    button.style.backgroundSize = `${width}px ${height * count}px`;
    button.style.backgroundPosition = `0 ${-place * height}px`;
  });
  $("examples").addEventListener("keydown", moveInStrip);
}

function addThumbnail({ name }) {
  const place = $("examples").children.length;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "example";
  button.title = name;
  button.tabIndex = place === current ? 0 : -1; // one stop for Tab, arrows inside
  button.setAttribute("role", "option");
  button.setAttribute("aria-label", name);
  button.setAttribute("aria-selected", "false");
  button.style.width = `${strip.width}px`;
  button.style.height = `${strip.height}px`;
  button.style.imageRendering = strip.scale < 1 ? "auto" : "pixelated";
  button.addEventListener("click", () => {
    moveTo(place);
    pick(place);
  });
  $("examples").append(button);
  return button;
}

function moveTo(place) {
  const buttons = $("examples").children;
  buttons[current].tabIndex = -1;
  current = place;
  buttons[current].tabIndex = 0;
}

function moveInStrip(event) {
  const buttons = [...$("examples").children];
  const last = buttons.length - 1;
  const top = buttons[0].offsetTop;
  const inRow = buttons.filter((button) => button.offsetTop === top).length;
  const to = {
    ArrowLeft: current - 1,
    ArrowRight: current + 1,
    ArrowUp: current - inRow,
    ArrowDown: current + inRow,
    Home: 0,
    End: last,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (to < 0 || to > last) return;
  moveTo(to);
  buttons[to].focus();
}

async function pick(place) {
  ends = ends.length === 1 ? [ends[0], place] : [place];
  [...$("examples").children].forEach((button, k) => {
    button.classList.toggle("start", k === ends[0]);
    button.classList.toggle("end", ends.length === 2 && k === ends[1]);
    button.setAttribute("aria-selected", String(ends.includes(k)));
  });
  stop();
  $("play").disabled = $("t").disabled = ends.length < 2;
  $("way").hidden = $("save-walk").hidden = true;
  chosen = null;
  if (ends.length === 1) {
    take(run.examples[place]);
    return;
  }
  walkTo(0);
  showWay();
}

// Walks.

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
  return show(`t = ${t.toFixed(2)} of the way`, null);
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

function startWalk() {
  $("t").addEventListener("input", () => {
    stop();
    walkTo(Number($("t").value));
  });
  $("play").addEventListener("click", play);
}

// Images of the user's.

let own = null; // the file that was chosen last

async function upload() {
  if (!own) return;
  $("own-note").textContent = "Reading …";
  try {
    if (own.size > run.most_bytes) {
      const most = run.most_bytes / 2 ** 20;
      throw new Error(`the file is larger than ${most} MiB; choose a smaller one.`);
    }
    const question = JSON.stringify({ condition, swap: $("swap").checked });
    const response = await fetch(`upload?question=${encodeURIComponent(question)}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: own,
    });
    if (!response.ok) throw new Error(await response.text());
    const made = await response.json();
    const example = {
      name: `your image ${own.name}`,
      u: made.u,
      condition: made.condition,
      src: `data:image/png;base64,${made.original}`,
    };
    const place = run.examples.push(example) - 1;
    const button = addThumbnail(example);
    button.style.backgroundImage = `url(${example.src})`;
    button.style.backgroundSize = "100% 100%";
    ends = []; // it starts a new way
    pick(place);
    $("own-note").textContent = made.note + givenLabel(made.condition);
  } catch (error) {
    $("own-note").textContent = `This image was not taken: ${error.message}`;
  }
}

function givenLabel(name) {
  if (!run.conditions || !name) return "";
  const known = run.conditions.find(({ label }) => label === name.label);
  return ` Encoded given class ${known.name}.`;
}

function startOwn() {
  $("own").hidden = !run.images;
  $("file").addEventListener("change", () => {
    own = $("file").files[0] || null;
    upload();
  });
  $("swap").addEventListener("change", upload);
}
