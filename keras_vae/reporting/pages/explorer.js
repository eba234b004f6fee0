"use strict";

// One latent is shown, `u`, in standard deviations from the centre of the prior, one
// number a dimension. Whatever a person does sets it, and `show` has it decoded.

const $ = (id) => document.getElementById(id);

let run; // what the server says of the run, see `Explorer.state`
let u = [];
let condition = null;
let temperature = 0; // of the levels below the top, in hierarchies
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

// `what` says in words what is shown; an `original` is set beside it, null takes it away.
async function show(what, original) {
  if (what !== undefined) $("what").textContent = what;
  if (original !== undefined) showOriginal(original);
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
      const { naturalWidth, naturalHeight } = $("picture");
      const frame = document.querySelector(".frame");
      frame.style.setProperty("--ratio", naturalWidth / naturalHeight);
      frame.classList.toggle("broad", naturalWidth > 1.6 * naturalHeight);
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

function showOriginal(original) {
  $("original").hidden = !original;
  if (!original) return;
  $("original-picture").src = original.src;
  $("original-picture").alt = `${original.name}, the original`;
}

// Whatever is begun anew ends what plays.
function stop() {
  playing = false;
}

// Takes the latents and the condition of an example, which is set beside.
function take(example) {
  stop();
  u = [...example.u];
  condition = example.condition;
  placeCondition();
  const top = run.hierarchical ? ", from its top level" : "";
  show(`reconstruction of ${example.name}${top}`, {
    src: example.src || `original?row=${example.row}`,
    name: example.name,
  });
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
  share.className = "weight";
  share.textContent = weight.toFixed(2);
  share.title = run.weight;
  row.append(name, input, output, share);
  input.addEventListener("input", () => {
    stop();
    u[dim] = Number(input.value);
    show("a latent set by hand");
  });
  return { dim, row, input, output };
}

function subscript(number) {
  return String(number).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
}

// Conditions and draws.

function placeCondition() {
  if (!condition) return;
  const value = JSON.stringify(condition);
  const known = [...$("condition").options].some((option) => option.value === value);
  if (!known) $("condition").add(new Option(nameOfCondition(), value));
  $("condition").value = value;
}

function nameOfCondition() {
  if (condition.own !== undefined) return `that of your image ${condition.own + 1}`;
  return `that of example ${condition.example}`;
}

function startCondition() {
  condition = run.condition;
  if (!condition) return;
  const choices = run.conditions
    ? run.conditions.map(({ label, name }) => [{ label }, name])
    : run.examples.map((example) => [example.condition, `that of ${example.name}`]);
  for (const [value, name] of choices) {
    $("condition").add(new Option(name, JSON.stringify(value)));
  }
  $("condition-row").hidden = $("each-half").hidden = false;
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
  stop();
  try {
    u = (await (await ask("draw", { source, condition })).json()).u;
    const name = source === "prior" ? "prior" : "aggregate posterior";
    show(`drawn from the ${name}`, null);
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
    stop();
    u = u.map(() => 0);
    show("the centre", null);
  });
  for (const source of ["prior", "aggregate"]) {
    $(source).hidden = !run.sources.includes(source);
    $(source).addEventListener("click", () => draw(source));
  }
  startWalk();
  startOwn();
  await Promise.all([startExamples(), show("the centre")]);
  document.body.dataset.ready = "yes";
}

start().catch(trouble);
