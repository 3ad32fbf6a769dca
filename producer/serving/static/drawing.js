// Charts and strips for a timeline that changes twice a second. Each change draws all of them again, in a few
// milliseconds.

const { clock, percent, toneOf, tones } = LecturePulse;
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 24;

// Seconds between two marks of the time axis. The first that gives each mark MARK_WIDTH pixels is used.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const MARK_WIDTH = 90;

// Bins without a frame that are drawn like the bin before. A live source may leave such bins; they are not gaps.
const BRIDGED = 2;

/** Bin -> the bin to draw there: itself, or the last one with frames if that is near. Undefined in a gap. */
export function filled(bins, length) {
  const found = new Array(length);
  let last = -1;
  for (let i = 0; i < length; i++) {
    if (bins[i] && bins[i].frames) last = i;
    if (last >= 0 && i - last <= BRIDGED) found[i] = bins[last];
  }
  return found;
}

/** The class: seven areas on top of each other, with steps of one bin. */
export function drawClass(box, view) {
  const plot = new Plot(box, view, [0, 0.25, 0.5, 0.75, 1], 0, 1, percent);
  const bins = filled(view.bins, view.length);
  for (const [first, last] of runs(bins, (bin) => bin.scores !== null)) {
    const base = new Array(last - first).fill(0);
    view.emotions.forEach((emotion, n) => {
      const under = base.slice();
      for (let i = first; i < last; i++) base[i - first] += bins[i].scores[n];
      plot.add("path", { d: plot.band(first, under, base), fill: `var(--${emotion})` });
    });
  }
  for (const [first, last] of runs(bins, (bin) => bin.faces > 0 && bin.scores === null)) {
    plot.add("path", { d: plot.line(first, new Array(last - first).fill(0.5)), class: "unread" });
  }
  plot.finish();
}

/** Valence and arousal: a line and a band for each. */
export function drawAffect(box, view) {
  const plot = new Plot(box, view, [-1, -0.5, 0, 0.5, 1], -1, 1, (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value));
  const bins = filled(view.bins, view.length);
  for (const [name, dashes] of [["valence", ""], ["arousal", "5 3"]]) {
    const value = (bin) => bin[name], half = (bin) => bin[`${name}Margin`];
    for (const [first, last] of runs(bins, (bin) => bin.scores !== null)) {
      for (const [from, to] of runs(bins.slice(0, last), (bin) => half(bin) !== null, first)) {
        const run = bins.slice(from, to);
        const clamped = (sign) => run.map((bin) => Math.min(1, Math.max(-1, value(bin) + sign * half(bin))));
        plot.add("path", { d: plot.band(from, clamped(-1), clamped(1)), fill: `var(--${name})`, "fill-opacity": 0.18 });
      }
      plot.add("path", {
        d: plot.line(first, bins.slice(first, last).map(value)),
        fill: "none", stroke: `var(--${name})`, "stroke-width": 2, "stroke-dasharray": dashes, "stroke-linejoin": "round",
      });
    }
  }
  plot.finish();
}

/** The people who face the screen, are turned away or out of view: areas on top of each other. */
export function drawPresence(box, view) {
  const plot = new Plot(box, view, [0, 0.5, 1], 0, 1, (share) => percent(share));
  const bins = filled(view.bins, view.length);
  for (const [first, last] of runs(bins, (bin) => bin.presence !== null)) {
    const base = new Array(last - first).fill(0);
    for (const n of [0, 1, 2]) {
      const under = base.slice();
      for (let i = first; i < last; i++) base[i - first] += bins[i].presence[n] ?? 0;
      plot.add("path", { d: plot.band(first, under, base), class: `presence${n}` });
    }
  }
  plot.finish();
}

/**
 * A participant: the colour is the displayed expression, its tone the share; the height of a line repeats the colour.
 * Dots: the face could not be read.
 */
export function drawStrip(canvas, participant, view, colours) {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (!width) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d"), step = width / view.length, lane = height / view.emotions.length;
  const thick = Math.max(1, Math.round(1.5 * scale));
  pen.clearRect(0, 0, width, height);
  let held = -1;
  for (let i = 0; i < view.length; i++) {
    if (participant.bins[i]) held = i;
    const frames = view.bins[i] && view.bins[i].frames;
    if (held < 0 || (held !== i && (frames || i - held > BRIDGED))) continue;
    const { emotion, strength } = participant.bins[held], left = Math.floor(i * step);
    const wide = Math.ceil((i + 1) * step) - left;
    if (emotion === null) {
      pen.fillStyle = colours.quiet;
      for (let x = 3 * thick * Math.ceil(left / (3 * thick)); x < left + wide; x += 3 * thick) {
        pen.fillRect(x, Math.round((height - thick) / 2), thick, thick);
      }
      continue;
    }
    pen.globalAlpha = tones[toneOf(strength)][1];
    pen.fillStyle = colours[view.emotions[emotion]];
    pen.clearRect(left, 0, wide, height);
    pen.fillRect(left, 0, wide, height);
    pen.globalAlpha = 1;
    pen.fillStyle = colours.ink;
    pen.fillRect(left, Math.round(height - (emotion + 0.5) * lane - thick / 2), wide, thick);
  }
  if (view.cursor !== null) {
    pen.fillStyle = colours.ink;
    pen.fillRect(Math.round((view.cursor + 0.5) * step), 0, thick, height);
  }
}

/** [first, last) of every run of bins that exist and are `wanted`. */
function* runs(bins, wanted, from = 0) {
  let first = -1;
  for (let i = from; i <= bins.length; i++) {
    const inside = i < bins.length && bins[i] !== undefined && wanted(bins[i]);
    if (inside && first < 0) first = i;
    if (!inside && first >= 0) {
      yield [first, i];
      first = -1;
    }
  }
}

/** The bin at `x` pixels from the left of a chart. */
export function binAt(box, view, x) {
  const inside = (x - LEFT) / (box.clientWidth - LEFT - RIGHT);
  return Math.min(view.length - 1, Math.max(0, Math.floor(inside * view.length)));
}

class Plot {
  constructor(box, view, marks, low, high, label) {
    Object.assign(this, { box, view, low, high });
    this.width = box.clientWidth;
    this.height = box.clientHeight;
    this.svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({ width: this.width, height: this.height, "aria-hidden": "true" })) this.svg.setAttribute(name, value);
    for (const mark of marks) {
      this.add("line", { x1: LEFT, x2: this.width - RIGHT, y1: this.y(mark), y2: this.y(mark), stroke: "var(--grid)" });
      this.add("text", { x: LEFT - 6, y: this.y(mark) + 4, "text-anchor": "end" }).textContent = label(mark);
    }
    this.timeAxis();
  }

  x(bin) {
    return LEFT + (bin / Math.max(1, this.view.length)) * (this.width - LEFT - RIGHT);
  }

  y(value) {
    return this.height - BOTTOM - ((value - this.low) / (this.high - this.low)) * (this.height - TOP - BOTTOM);
  }

  add(kind, attributes) {
    const element = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return this.svg.appendChild(element);
  }

  timeAxis() {
    const seconds = this.view.length * this.view.width;
    const room = (this.width - LEFT - RIGHT) / MARK_WIDTH;
    const step = STEPS.find((each) => seconds / each <= room) || 86400 * Math.ceil(seconds / room / 86400);
    for (let t = 0; t <= seconds; t += step) {
      const x = this.x(t / this.view.width);
      const anchor = x > this.width - 30 ? "end" : t ? "middle" : "start";
      this.add("text", { x, y: this.height - 6, "text-anchor": anchor }).textContent = clock(t);
    }
  }

  /** The path between two lists of values, with steps of one bin. */
  band(first, under, over) {
    const there = over.map((value, i) => `${this.x(first + i).toFixed(1)},${this.y(value).toFixed(1)}H${this.x(first + i + 1).toFixed(1)}`);
    const back = under.map((value, i) => `${this.x(first + i + 1).toFixed(1)},${this.y(value).toFixed(1)}H${this.x(first + i).toFixed(1)}`);
    return `M${there.join("L")}L${back.reverse().join("L")}Z`;
  }

  line(first, values) {
    return "M" + values.map((value, i) => `${this.x(first + i).toFixed(1)},${this.y(value).toFixed(1)}H${this.x(first + i + 1).toFixed(1)}`).join("L");
  }

  finish() {
    if (this.view.cursor !== null) {
      const x = this.x(this.view.cursor + 0.5);
      this.add("line", { x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM, stroke: "var(--ink)", "stroke-width": 1.5 });
    }
    this.box.replaceChildren(this.svg);
  }
}
