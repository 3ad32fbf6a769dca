// The pictures of a lecture in a page: charts of the class, a strip for every participant, and one time for all of them.
//
//   await LecturePulse.start(specs)   once: makes the charts, empty
//   LecturePulse.show(pictures)       as often as there is something new; keeps the reader's time and focus
//
// `specs` and `pictures` are what figures.specs() and pictures.pictures() give; the places to fill are in
// charts.html.jinja. Names come from people: they only ever become text.
"use strict";
globalThis.LecturePulse = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LANES = 7;
  const LEVELS = [45, 65, 85]; // percent, where a stronger tone begins; as the legend says
  const PAPER_PX = 620; // what lies between the margins of A4, less the labels
  const AXIS_GAP_PX = 8; // between two times on the axis of the strips
  const LETTER_REM = 0.75, NAME_REM = 0.6; // width of a bold letter, no less than fonts have, and of what is beside them
  const views = {};
  const strips = new Map(); // participant -> the elements of the strip
  let shown = { emotions: [], class: [], margins: [], moments: [], strips: [], lookedAt: [], ticks: [], step: 1, steps: 0, seconds: 0 };
  let rows = new Map(); // step -> row of the class
  let margins = new Map();
  let at = null; // the step that is looked at; null: the whole lecture

  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };

  async function start(specs) {
    const options = { ast: true, actions: false, renderer: "svg", tooltip: false, hover: false, defaultStyle: false };
    for (const place of all("[data-chart]")) {
      const name = place.dataset.chart;
      const { view } = await vegaEmbed(place, structuredClone(specs[name]), options);
      views[name] = view;
      const point = (event) => {
        const x = event.clientX - place.getBoundingClientRect().left - view.origin()[0];
        go(Math.floor(view.scale("x").invert(x) / shown.step));
      };
      place.addEventListener("pointermove", point);
      place.addEventListener("pointerdown", point);
    }
    const slider = one("[data-time]");
    slider?.addEventListener("input", () => go(Number(slider.value)));
    one("[data-clear]")?.addEventListener("click", () => { clear(); slider.focus(); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
    addEventListener("beforeprint", drawForPaper);
    addEventListener("afterprint", drawForScreen);
    const axis = one("[data-axis]");
    if (axis) new ResizeObserver(thinAxis).observe(axis);
    for (const button of all("[data-go]")) {
      button.addEventListener("click", () => {
        go(Math.floor(Number(button.dataset.go) / shown.step + 1e-6));
        one("[data-chart]")?.scrollIntoView({ block: "center" });
      });
    }
  }

  function show(pictures) {
    shown = pictures;
    rows = new Map(shown.class.filter((row) => "step" in row).map((row) => [row.step, row]));
    margins = new Map(shown.margins.filter((row) => "step" in row).map((row) => [row.step, row]));
    for (const view of Object.values(views)) {
      for (const [name, value] of Object.entries(shown.parameters)) view.signal(name, value);
      for (const name of ["class", "margins", "moments"]) if (holds(view, name)) view.data(name, shown[name]);
      view.runAsync();
    }
    const slider = one("[data-time]");
    if (slider) slider.max = Math.max(0, shown.steps - 1);
    drawAxis();
    drawStrips();
    look();
  }

  function go(step) {
    if (!shown.steps) return;
    at = Math.min(Math.max(step, 0), shown.steps - 1);
    look();
  }

  function clear() {
    at = null;
    look();
  }

  // What is to be read at `at`, in every picture.
  function look() {
    if (at !== null) at = Math.min(at, shown.steps - 1);
    const row = rows.get(at);
    const time = at === null ? null : at * shown.step;
    for (const view of Object.values(views)) {
      view.data("cursor", at === null ? [] : [{ t: Math.min(time + shown.step / 2, shown.seconds) }]).runAsync();
    }
    for (const cell of all("[data-share]")) {
      const lane = shown.emotions.indexOf(cell.dataset.share);
      const share = at === null ? overall(`y${lane + 1}`) - overall(`y${lane}`) : row ? row[`y${lane + 1}`] - row[`y${lane}`] : NaN;
      cell.textContent = Number.isNaN(share) ? "–" : `${Math.round(share)}%`;
    }
    for (const cell of all("[data-affect]")) {
      const name = cell.dataset.affect;
      const value = at === null ? overall(name, name === "faces") : row ? row[name] : NaN;
      cell.textContent = Number.isNaN(value) ? "–" : name === "faces" ? value.toFixed(1) : signed(value);
    }
    for (const place of all("[data-when]")) place.textContent = at === null ? "whole lecture" : `at ${clock(time)}`;
    const words = at === null ? "" : said(at);
    const slider = one("[data-time]");
    if (slider) {
      slider.value = at ?? 0;
      slider.setAttribute("aria-valuetext", at === null ? "whole lecture" : `${clock(time)}: ${words}`);
      one("[data-clock]").textContent = at === null ? "Whole lecture" : clock(time);
      one("[data-readout]").textContent = at === null ? "Drag, or point at a picture, to read what was displayed when." : words;
      one("[data-clear]").hidden = at === null;
    }
    const lanes = one("[data-strips]");
    if (lanes) {
      lanes.classList.toggle("pointed", at !== null);
      lanes.style.setProperty("--at", at === null ? 0 : (at + 0.5) / shown.steps);
      for (const strip of shown.strips) readStrip(strip);
    }
  }

  function said(step) {
    const row = rows.get(step);
    if (!row) return shown.lookedAt[step] ? "nobody in view" : "no frame was looked at";
    const shares = shown.emotions.map((emotion, n) => [emotion, row[`y${n + 1}`] - row[`y${n}`]]);
    const strongest = shares.sort((a, b) => b[1] - a[1]).slice(0, 2).map(([emotion, share]) => `${emotion} ${Math.round(share)}%`);
    const margin = margins.get(step);
    const interval = margin ? ` (${signed(margin.valence_low)} to ${signed(margin.valence_high)})` : "";
    const faces = `${Number(row.faces.toFixed(1))} ${row.faces === 1 ? "face" : "faces"}`;
    return `${strongest.join(", ")} · ${faces} · valence ${signed(row.valence)}${interval}`;
  }

  // The mean of a column over the lecture, each step by its faces; of the faces themselves over all steps looked at.
  function overall(column, plain = false) {
    let sum = 0, weight = 0;
    for (const row of rows.values()) {
      sum += plain ? row.faces * row.frames : row[column] * row.faces * row.frames;
      weight += plain ? 0 : row.faces * row.frames;
    }
    return sum / (plain ? shown.frames : weight);
  }

  // A sheet is narrower than most windows: drawn for its width, the labels stay readable. Nobody points at paper, so it
  // tells of the whole lecture.
  function drawForPaper() {
    const before = at;
    clear();
    at = before;
    for (const view of Object.values(views)) view.data("cursor", []).width(PAPER_PX).resize().run();
  }

  function drawForScreen() {
    dispatchEvent(new Event("resize")); // on which Vega-Lite measures the places of the charts again
    look();
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

  // Of the times above the strips every one, every second, ...: as many as do not touch each other.
  function thinAxis() {
    const ticks = [...(one("[data-axis]")?.children ?? [])];
    const places = ticks.map((tick) => tick.getBoundingClientRect());
    const touch = (every) => places.some((place, n) => n >= every && n % every === 0 && place.left < places[n - every].right + AXIS_GAP_PX);
    let every = 1;
    while (every < ticks.length && touch(every)) every += 1;
    ticks.forEach((tick, n) => tick.classList.toggle("unsaid", n % every !== 0));
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
      made.track.setAttribute("aria-label", label);
      made.track.setAttribute("aria-valuemax", Math.max(0, shown.steps - 1));
      draw(made.svg, strip);
    });
    // As wide as the names, so that strips are as long as they can be. In rem: strips and axis differ in their fonts.
    const longest = Math.max(0, ...shown.strips.map(({ id, name }) => (name ? [...name].length + id.length + 1 : id.length)));
    one("[data-strips]").style.setProperty("--named", `${(NAME_REM + LETTER_REM * longest).toFixed(2)}rem`);
  }

  function makeStrip(id) {
    const make = (tag, className, within) => {
      const element = document.createElement(tag);
      element.className = className;
      within?.append(element);
      return element;
    };
    const item = make("li", "strip");
    const who = make("span", "who", item);
    const made = { item, name: make("b", "", who), id: make("small", "", who), track: make("div", "track", item), said: make("span", "said", item) };
    made.said.setAttribute("aria-hidden", "true"); // the slider says it
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
      if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      go(at === null && steps[event.key] === 1 ? 0 : (at ?? 0) + steps[event.key]);
    });
    const point = (event) => {
      const box = made.track.getBoundingClientRect();
      go(Math.floor(((event.clientX - box.left) / box.width) * shown.steps));
    };
    made.track.addEventListener("pointermove", point);
    made.track.addEventListener("pointerdown", point);
    return made;
  }

  // One path for each tone and one for the line, however many steps there are.
  function draw(svg, strip) {
    const tones = new Map();
    let line = "", before = -1;
    for (let step = 0; step < strip.shown.length; ) {
      const emotion = strip.shown[step];
      const level = levelOf(strip.strength[step]);
      let end = step + 1;
      while (end < strip.shown.length && strip.shown[end] === emotion && levelOf(strip.strength[end]) === level) end += 1;
      if (emotion >= 0) {
        const tone = `${shown.emotions[emotion]} level${level}`;
        tones.set(tone, `${tones.get(tone) ?? ""}M${step} 0H${end}V${LANES}H${step}z`);
        line += `M${step} ${LANES - 0.5 - emotion}H${end}`;
      }
      before = emotion;
      step = end;
    }
    svg.setAttribute("viewBox", `0 0 ${Math.max(1, strip.shown.length)} ${LANES}`);
    svg.replaceChildren(...[...tones, ["lane", line]].map(([tone, d]) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", tone);
      path.setAttribute("d", d);
      return path;
    }));
  }

  function levelOf(strength) {
    return 1 + LEVELS.filter((from) => strength >= from).length;
  }

  function readStrip(strip) {
    const { track, said: words } = strips.get(strip.id);
    let text = "";
    if (at !== null) {
      const emotion = strip.shown[at];
      text = emotion < 0 ? (shown.lookedAt[at] ? "not seen" : "no frame looked at") : `${shown.emotions[emotion]} ${strip.strength[at]}%`;
    }
    words.textContent = text;
    track.setAttribute("aria-valuenow", at ?? 0);
    track.setAttribute("aria-valuetext", at === null ? "whole lecture; use the arrow keys to read it" : `${clock(at * shown.step)}: ${text}`);
  }

  return { start, show, go };
})();
