// Charts of the class, a strip for every participant, and one time for all of them.
//
//   await LecturePulse.start(specs)   once: makes empty charts
//   LecturePulse.show(data)           for new data; keeps the reader's time and focus
//   LecturePulse.onTime(f)            call f(seconds) when the reader clicks on a chart or strip, or uses the time bar
//   LecturePulse.play(t)              show a line where a recording plays
//   LecturePulse.time()               the chosen time in seconds, null for the whole lecture
//   LecturePulse.shownAt(id, t)       what a participant displays at a time, in a word; "" if nothing
//
// `specs` come from charts.py, `data` from chart_data.py, and the elements to fill from charts.html.jinja. Names come
// from users, so they are only ever written as text.
"use strict";
Object.assign(LecturePulse, (() => {
  const { clock, drawMap, signed, toneOf } = LecturePulse;
  const SVG = "http://www.w3.org/2000/svg";
  const LANES = 7;
  const NOT_READ = -2; // in the place of an emotion: seen, but the face could not be read
  const PAPER_PX = 620; // width of a chart between the margins of A4, without its labels
  const AXIS_GAP_PX = 8; // smallest gap between two times above the strips
  const LETTER_REM = 0.75, NAME_REM = 0.6; // an upper bound of a bold letter's width, and the space beside a name
  const views = {};
  const strips = new Map(); // participant -> the elements of the strip
  let shown = { emotions: [], class: [], faces: [], unread: [], margins: [], presence: [], moments: [], strips: [], analysed: [], ticks: [], step: 1, steps: 0, seconds: 0 };
  let rows = new Map(); // step -> row of the class
  let faces = new Map(); // step -> row of faces
  let margins = new Map();
  const folded = []; // what is opened for paper alone
  let presence = new Map();
  let at = null; // the chosen step; null: the whole lecture
  const listeners = [];

  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  async function start(specs) {
    const options = { ast: true, actions: false, renderer: "svg", tooltip: false, hover: false, defaultStyle: false };
    for (const place of all("[data-chart]")) {
      const name = place.dataset.chart;
      const { view } = await vegaEmbed(place, structuredClone(specs[name]), options);
      views[name] = view;
      readAt(place, (event) => {
        const x = event.clientX - place.getBoundingClientRect().left - view.origin()[0];
        return view.scale("x").invert(x);
      });
    }
    const slider = one("[data-time]");
    slider?.addEventListener("input", () => go(Number(slider.value)));
    slider?.addEventListener("change", () => chosen(Number(slider.value) * shown.step));
    one("[data-clear]")?.addEventListener("click", () => { clear(); slider.focus(); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
    addEventListener("beforeprint", drawForPaper);
    addEventListener("afterprint", drawForScreen);
    const axis = one("[data-axis]");
    if (axis) new ResizeObserver(thinAxis).observe(axis);
    document.addEventListener("click", (event) => {
      const time = event.target.closest("[data-t]");
      if (!time) return;
      event.preventDefault();
      go(Math.floor(Number(time.dataset.t) / shown.step + 1e-6));
      one("[data-chart]")?.scrollIntoView({ block: "center" });
    });
  }

  // Let the reader choose times on an element. `timeOf` is the time in seconds below the pointer of an event.
  function readAt(element, timeOf) {
    const point = (event) => go(Math.floor(timeOf(event) / shown.step));
    element.addEventListener("pointermove", point);
    element.addEventListener("pointerdown", point);
    element.addEventListener("click", (event) => chosen(timeOf(event)));
  }

  function show(data) {
    shown = data;
    const byStep = (list) => new Map(list.filter((row) => "step" in row).map((row) => [row.step, row]));
    rows = byStep(shown.class);
    faces = byStep(shown.faces);
    margins = byStep(shown.margins);
    presence = byStep(shown.presence);
    for (const view of Object.values(views)) {
      for (const [name, value] of Object.entries(shown.parameters)) view.signal(name, value);
      for (const name of ["class", "faces", "unread", "margins", "presence", "moments"]) if (holds(view, name)) view.data(name, shown[name]);
      view.runAsync();
    }
    const slider = one("[data-time]");
    if (slider) slider.max = Math.max(0, shown.steps - 1);
    drawAxis();
    drawStrips();
    update();
  }

  function go(step) {
    if (!shown.steps) return;
    at = Math.min(Math.max(step, 0), shown.steps - 1);
    update();
  }

  function clear() {
    at = null;
    update();
  }

  // Show the values at `at` in every chart and strip.
  function update() {
    if (at !== null) at = Math.min(at, shown.steps - 1);
    const time = at === null ? null : at * shown.step;
    for (const view of Object.values(views)) {
      view.data("cursor", at === null ? [] : [{ t: Math.min(time + shown.step / 2, shown.seconds) }]).runAsync();
    }
    const readable = (row) => row.read * row.frames;
    const percent = (share) => `${Math.round(share)}%`;
    write("share", rows, (row, emotion) => area(row, shown.emotions.indexOf(emotion)), readable, percent);
    write("affect", rows, (row, name) => row[name], readable, signed);
    write("faces", faces, (row, name) => row[name], (row) => row.frames, (count) => count.toFixed(1), shown.frames);
    write("presence", presence, (row, n) => area(row, Number(n)), (row) => row.people, percent);
    for (const place of all("[data-when]")) place.textContent = at === null ? "whole lecture" : `at ${clock(time)}`;
    const words = at === null ? "" : wordsAt(at);
    const slider = one("[data-time]");
    if (slider) {
      slider.value = at ?? 0;
      slider.setAttribute("aria-valuetext", at === null ? "whole lecture" : `${clock(time)}: ${words}`);
      one("[data-clock]").textContent = at === null ? "Whole lecture" : clock(time);
      one("[data-readout]").textContent = at === null ? "Drag here to read the values at a time." : words;
      slider.parentElement.classList.toggle("chosen", at !== null);
      one("[data-clear]").hidden = at === null;
    }
    const lanes = one("[data-strips]");
    if (lanes) {
      lanes.classList.toggle("pointed", at !== null);
      lanes.style.setProperty("--at", at === null ? 0 : (at + 0.5) / shown.steps);
      for (const strip of shown.strips) readStrip(strip);
    }
  }

  // Write the value at `at`, or the mean over the lecture, into every element with `data-NAME`. `read` takes the value
  // for what the element names out of a row, `weight` says how much the row counts, and `total` how much all count.
  function write(name, rows, read, weight, format, total = sum(rows, weight)) {
    const here = rows.get(at);
    for (const cell of all(`[data-${name}]`)) {
      const value = (row) => read(row, cell.dataset[name]);
      const number = at === null ? sum(rows, (row) => value(row) * weight(row)) / total : here ? value(here) : NaN;
      cell.textContent = Number.isNaN(number) ? "–" : format(number);
    }
  }

  const sum = (rows, value) => [...rows.values()].reduce((total, row) => total + value(row), 0);

  // The share of area number `n` of a stacked chart, in percent.
  const area = (row, n) => row[`y${n + 1}`] - row[`y${n}`];

  function wordsAt(step) {
    const row = rows.get(step);
    const here = faces.get(step);
    if (!here) return shown.analysed[step] ? "nobody in view" : "no frame was analysed";
    const rounded = (number) => Number(number.toFixed(1));
    const unread = here.faces > here.read ? `, ${rounded(here.faces - here.read)} not readable` : "";
    const count = `${rounded(here.faces)} ${here.faces === 1 ? "face" : "faces"}${unread}`;
    if (!row) return here.read > 0 ? `${count}, ${shown.few}` : count;
    const shares = shown.emotions.map((emotion, n) => [emotion, area(row, n)]);
    const strongest = shares.sort((a, b) => b[1] - a[1]).slice(0, 2).map(([emotion, share]) => `${emotion} ${Math.round(share)}%`);
    const margin = margins.get(step);
    const interval = margin ? ` (${signed(margin.valence_low)} to ${signed(margin.valence_high)})` : "";
    return `${strongest.join(", ")} · ${count} · valence ${signed(row.valence)}${interval}`;
  }

  // A sheet of paper is narrower than most windows. Charts drawn for its width keep readable labels. They show the
  // whole lecture, whatever time is chosen.
  function drawForPaper() {
    for (const fold of all("details.fold:not([open])")) { fold.open = true; folded.push(fold); }
    const before = at;
    clear();
    at = before;
    for (const view of Object.values(views)) view.data("cursor", []).data("playing", []).width(PAPER_PX).resize().run();
  }

  function drawForScreen() {
    for (const fold of folded.splice(0)) fold.open = false;
    dispatchEvent(new Event("resize")); // then Vega-Lite measures the places of the charts again
    update();
  }

  function holds(view, name) {
    try { view.data(name); return true; } catch { return false; }
  }

  function drawAxis() {
    const axis = one("[data-axis]");
    if (!axis) return;
    axis.replaceChildren(...shown.ticks.map(({ t, label }) => {
      const tick = document.createElement("span");
      tick.textContent = label;
      const place = t / (shown.steps * shown.step);
      tick.style.left = `${100 * place}%`;
      tick.classList.toggle("last", place > 0.97);
      return tick;
    }));
    thinAxis();
  }

  // Hide times above the strips (every second, two of three, ...) until none touch.
  function thinAxis() {
    const ticks = [...(one("[data-axis]")?.children ?? [])];
    const places = ticks.map((tick) => tick.getBoundingClientRect());
    const touch = (every) => places.some((place, n) => n >= every && n % every === 0 && place.left < places[n - every].right + AXIS_GAP_PX);
    let every = 1;
    while (every < ticks.length && touch(every)) every += 1;
    ticks.forEach((tick, n) => tick.classList.toggle("thinned", n % every !== 0));
  }

  function drawStrips() {
    const list = one("[data-strip-list]");
    if (!list) return;
    const there = new Set(shown.strips.map((strip) => strip.id));
    for (const [id, made] of strips) if (!there.has(id)) { made.item.remove(); strips.delete(id); }
    shown.strips.forEach((strip, place) => {
      if (!strips.has(strip.id)) strips.set(strip.id, makeStrip(strip.id));
      const made = strips.get(strip.id);
      if (list.children[place] !== made.item) list.insertBefore(made.item, list.children[place] ?? null);
      const label = strip.name ? `${strip.name} (${strip.id})` : strip.id;
      made.name.textContent = strip.name ?? strip.id;
      made.name.title = label;
      made.id.textContent = strip.name ? strip.id : "";
      made.map.style.display = strip.place ? "" : "none";
      if (strip.place) drawMap(made.map, ...strip.place);
      made.track.setAttribute("aria-label", strip.place ? `${label}, ${strip.place.at(-1)}` : label);
      made.track.setAttribute("aria-valuemax", Math.max(0, shown.steps - 1));
      draw(made.svg, strip);
    });
    // The column fits the names, so that strips are long. In rem, because strips and axis have different fonts.
    const longest = Math.max(0, ...shown.strips.map(({ id, name }) => (name ? [...name].length + id.length + 1 : id.length)));
    one("[data-strips]").style.setProperty("--name-width", `${(NAME_REM + LETTER_REM * longest).toFixed(2)}rem`);
  }

  function makeStrip(id) {
    const make = (tag, className, within) => {
      const element = document.createElement(tag);
      element.className = className;
      within?.append(element);
      return element;
    };
    const item = make("li", "strip");
    const participant = make("span", "participant", item);
    const map = participant.appendChild(document.createElementNS(SVG, "svg"));
    const made = { item, map, name: make("b", "", participant), id: make("small", "", participant), track: make("div", "track", item), value: make("span", "value", item) };
    made.value.setAttribute("aria-hidden", "true"); // the slider has the same text
    for (const [name, value] of Object.entries({ role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuenow": 0 })) {
      made.track.setAttribute(name, value);
    }
    made.svg = document.createElementNS(SVG, "svg");
    made.svg.setAttribute("preserveAspectRatio", "none");
    made.svg.setAttribute("aria-hidden", "true");
    made.track.append(made.svg);
    made.track.dataset.participant = id;
    made.track.addEventListener("keydown", (event) => {
      const far = Math.max(1, Math.round(shown.steps / 20));
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: far, PageDown: -far, Home: -Infinity, End: Infinity };
      if (event.key === "Enter" && at !== null) chosen(at * shown.step);
      if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      go(at === null && steps[event.key] === 1 ? 0 : (at ?? 0) + steps[event.key]);
    });
    readAt(made.track, (event) => {
      const box = made.track.getBoundingClientRect();
      return ((event.clientX - box.left) / box.width) * shown.steps * shown.step;
    });
    return made;
  }

  // One path for each tone, one for the line and one for faces that cannot be read, for any number of steps.
  function draw(svg, strip) {
    const tones = new Map();
    let line = "", unread = "";
    for (let step = 0; step < strip.shown.length; ) {
      const emotion = strip.shown[step];
      const level = levelOf(strip, step);
      let end = step + 1;
      while (end < strip.shown.length && strip.shown[end] === emotion && levelOf(strip, end) === level) end += 1;
      if (emotion >= 0) {
        const tone = `${shown.emotions[emotion]} level${level}`;
        tones.set(tone, `${tones.get(tone) ?? ""}M${step} 0H${end}V${LANES}H${step}z`);
        line += `M${step} ${LANES - 0.5 - emotion}H${end}`;
      }
      if (emotion === NOT_READ) unread += `M${step} ${LANES / 2}H${end}`;
      step = end;
    }
    svg.setAttribute("viewBox", `0 0 ${Math.max(1, strip.shown.length)} ${LANES}`);
    svg.replaceChildren(...[...tones, ["lane", line], ["unread", unread]].map(([tone, d]) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", tone);
      path.setAttribute("d", d);
      return path;
    }));
  }

  function levelOf(strip, step) {
    return 1 + toneOf(strip.strength[step] / 100);
  }

  function readStrip(strip) {
    const { track, value } = strips.get(strip.id);
    let text = "";
    if (at !== null) {
      const emotion = strip.shown[at];
      text = emotion === NOT_READ ? "not readable" : emotion < 0 ? (shown.analysed[at] ? "not seen" : "no frame analysed") : `${shown.emotions[emotion]} ${strip.strength[at]}%`;
    }
    value.textContent = text;
    track.setAttribute("aria-valuenow", at ?? 0);
    track.setAttribute("aria-valuetext", at === null ? "whole lecture; use the arrow keys to read single times" : `${clock(at * shown.step)}: ${text}`);
  }

  function chosen(t) {
    for (const listener of listeners) listener(Math.min(Math.max(t, 0), shown.seconds));
  }

  function play(t) {
    for (const view of Object.values(views)) if (holds(view, "playing")) view.data("playing", [{ t: Math.min(t, shown.seconds) }]).runAsync();
    const lanes = one("[data-strips]");
    lanes?.classList.add("playing");
    lanes?.style.setProperty("--playing", Math.min(1, t / (shown.steps * shown.step)));
  }

  function shownAt(id, t) {
    const emotion = shown.strips.find((strip) => strip.id === id)?.shown[Math.floor(t / shown.step + 1e-6)] ?? -1;
    return emotion === NOT_READ ? "not readable" : shown.emotions[emotion] ?? "";
  }

  return { start, show, go, play, shownAt, onTime: (listener) => listeners.push(listener), time: () => (at === null ? null : at * shown.step) };
})());
