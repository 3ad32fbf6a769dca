// A lecture as it goes on: what the server tells of it, put on the page.

import { binAt, clock, drawAffect, drawClass, drawStrip, filled, percent, signed } from "./drawing.js";

const AGAIN_MS = 5000;
const STRIPS = "Colour, and the height of the line, tell what was displayed, in the order of the picture above; a paler colour, less strongly; nothing, that they were not seen.";
// Somebody not seen for longer than this is said to be away; anything shorter is a face turned aside.
const AWAY_S = 5;
// For those who asked their system for less motion, pictures change no more often than this.
const CALM_MS = 5000;

const byId = (id) => document.getElementById(id);
const lecture = decodeURIComponent(location.pathname.split("/").pop());
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** All that is known of the lecture. `cursor` is the bin that is looked at, null for the newest. */
const view = { edition: null, standing: null, emotions: [], width: 1, length: 0, now: null, moments: [], bins: [], people: new Map(), cursor: null };
const rows = new Map();
let source = null, paused = false, reachable = true, drawn = 0, waiting = 0;

// What comes from the server.

function connect() {
  disconnect();
  const since = view.edition === null ? "" : `?since=${encodeURIComponent(view.edition)}`;
  source = new EventSource(`/lectures/${lecture}/stream${since}`);
  source.onmessage = (message) => {
    reachable = true;
    view.edition = message.lastEventId;
    take(JSON.parse(message.data));
    show();
  };
  source.onerror = () => {
    reachable = false;
    showStatus();
    if (source.readyState === EventSource.CLOSED) waiting = setTimeout(connect, AGAIN_MS);
  };
}

function disconnect() {
  clearTimeout(waiting);
  if (source !== null) source.close();
  source = null;
}

function take(patch) {
  if (patch.whole) {
    view.bins = [];
    view.people.clear();
    view.cursor = null;
  }
  const { standing, emotions, width, length, now, moments } = patch;
  Object.assign(view, { standing, emotions, width, length, now, moments });
  for (const [bin, frames, faces, scores, valence, arousal, valenceMargin, arousalMargin] of patch.bins) {
    view.bins[bin] = { frames, faces, scores, valence, arousal, valenceMargin, arousalMargin };
  }
  for (const { bins, ...known } of patch.participants) {
    const person = view.people.get(known.id) || { bins: [] };
    Object.assign(person, known);
    for (const [bin, frames, emotion, strength] of bins) person.bins[bin] = { frames, emotion, strength };
    view.people.set(known.id, person);
  }
}

// What is shown of it.

function show() {
  showStatus();
  if (calm.matches && drawn && performance.now() - drawn < CALM_MS && view.standing.phase === "running") {
    clearTimeout(show.later);
    show.later = setTimeout(show, CALM_MS);
    return;
  }
  drawn = performance.now();
  requestAnimationFrame(draw);
}

function draw() {
  if (view.standing === null) return;
  showClass();
  showPeople();
  showMoments();
  showLedger();
  showCursor();
  drawClass(byId("class-chart"), view);
  drawAffect(byId("affect-chart"), view);
  if (byId("figures").open) showFigures();
}

function showStatus() {
  const [text, kind] = status();
  write("status", text);
  byId("status").dataset.kind = kind;
  document.title = `${lecture}: ${text} – LecturePulse`;
  const { source: from, started, fps } = view.standing || {};
  write("about", started ? `${from}, begun ${new Date(1000 * started).toLocaleString()}, ${fps} frames a second` : "");
}

/** What the lecture is at, and whether that is good. */
function status() {
  if (paused) return ["paused", "waiting"];
  if (!reachable) return ["the server does not answer; trying again", "bad"];
  const standing = view.standing;
  if (standing === null) return ["connecting", "waiting"];
  if (!standing.connected) return ["Redis does not answer; this is the last that is known", "bad"];
  if (standing.phase === "waiting") return ["waiting: there is no such lecture yet", "waiting"];
  if (standing.phase === "forgotten") return ["forgotten: nothing of it is kept any more", "over"];
  if (!standing.caught_up && standing.read < standing.ledger.published) {
    // In steps, since every change of this text is read out.
    const tenths = Math.floor((10 * standing.read) / standing.ledger.published);
    return [`reading what came before: ${10 * tenths} %`, "waiting"];
  }
  if (standing.phase === "over") return [`over: ${standing.status}${standing.reason ? `, ${standing.reason}` : ""}`, "over"];
  if (standing.status === "abandoned") return ["nobody feeds it any more", "waiting"];
  return ["running", "good"];
}

/** The class at the cursor, or in the newest frame. */
function showClass() {
  const bin = view.cursor === null ? null : filled(view.bins, view.length)[view.cursor];
  const now = view.now;
  const at = view.cursor !== null ? `at ${clock(view.cursor * view.width)}` : now ? `${view.standing.phase === "over" ? "at the end" : "now"}, ${clock(now.t)}` : "";
  write("now-at", at);
  const scores = bin ? bin.scores : view.cursor === null && now && now.scores ? view.emotions.map((emotion) => now.scores[emotion]) : null;
  if (byId("shares").children.length !== view.emotions.length) {
    // From top to bottom as they lie on each other in the picture.
    const fromTop = [...view.emotions].reverse();
    byId("shares").replaceChildren(...fromTop.map(shareRow));
    byId("legend").replaceChildren(...fromTop.map(legendEntry));
  }
  view.emotions.forEach((emotion, n) => {
    const row = byId("shares").querySelector(`[data-emotion="${emotion}"]`);
    row.querySelector(".bar").style.width = scores ? percent(scores[n], 1).replace(" ", "") : "0";
    row.querySelector(".share").textContent = scores ? percent(scores[n], 1) : "–";
  });
  const shown = view.cursor === null ? now : bin;
  write("faces", shown ? String(Math.round(10 * shown.faces) / 10) : "–");
  for (const name of ["valence", "arousal"]) write(name, shown && shown[name] !== null ? signed(shown[name]) : "–");
}

function shareRow(emotion) {
  const row = element("li");
  const track = element("span", "", "track"), bar = element("span", "", "bar");
  bar.style.background = `var(--${emotion})`;
  track.append(bar);
  row.dataset.emotion = emotion;
  row.append(element("span", emotion), track, element("span", "–", "share"));
  return row;
}

function legendEntry(emotion) {
  const entry = element("li", emotion);
  entry.style.setProperty("--colour", `var(--${emotion})`);
  return entry;
}

function showPeople() {
  const people = [...view.people.values()];
  byId("people").hidden = people.length === 0;
  write("people-count", people.length ? `${people.length}` : "");
  const faces = view.now !== null && view.bins.some((bin) => bin && bin.faces > 0);
  write("people-note", people.length ? STRIPS : faces ? "Nothing is published per person in this lecture." : "Nobody has been seen yet.");
  write("people-at", view.cursor === null ? "displayed" : `at ${clock(view.cursor * view.width)}`);
  for (const [id, row] of rows) {
    if (!view.people.has(id)) {
      row.line.remove();
      rows.delete(id);
    }
  }
  const colours = paints();
  for (const person of people) {
    const row = rows.get(person.id) || personRow(person.id);
    showPerson(row, person);
    drawStrip(row.strip, person, view, colours);
  }
}

function personRow(id) {
  const cells = {};
  const line = element("tr");
  line.dataset.participant = id;
  cells.who = line.appendChild(element("th"));
  cells.who.scope = "row";
  const over = line.appendChild(element("td", "", "strip"));
  const strip = over.appendChild(element("canvas"));
  strip.setAttribute("role", "img");
  for (const name of ["current", "seen", "last"]) cells[name] = line.appendChild(element("td", "", name));
  byId("people-body").append(line);
  const row = { line, strip, cells };
  rows.set(id, row);
  watchPointer(strip, (x) => Math.min(view.length - 1, Math.max(0, Math.floor((x / strip.clientWidth) * view.length))));
  return row;
}

function showPerson({ line, strip, cells }, person) {
  const away = view.now === null ? 0 : view.now.t - person.last;
  const gone = away > AWAY_S && view.cursor === null;
  line.classList.toggle("away", gone);
  text(cells.who, person.name ? `${person.name} (${person.id})` : person.id);
  const bin = view.cursor === null ? null : person.bins[view.cursor];
  const [emotion, score] = view.cursor === null ? [person.emotion, person.score] : bin ? [view.emotions[bin.emotion], bin.strength] : [null, 0];
  text(cells.current, emotion === null ? "not seen" : `${emotion} ${percent(score)}`);
  cells.current.classList.toggle("swatch", emotion !== null && !gone);
  if (emotion !== null) cells.current.style.setProperty("--colour", `var(--${emotion})`);
  text(cells.seen, percent(Math.min(1, person.frames / Math.max(1, view.standing.read))));
  text(cells.last, away > AWAY_S ? `away for ${clock(away)}` : "in view");
  strip.setAttribute("aria-label", `Displayed from ${clock(person.first)} to ${clock(person.last)}, ${cells.seen.textContent} of all frames`);
}

function showMoments() {
  const said = view.moments.map(({ t, words }) => `${clock(t)} ${words}`);
  const far = view.standing.phase === "over" ? "" : " so far";
  write("moments-note", said.length ? `Where what the class displayed changed most${far}.` : `None${far}.`);
  if (said.join() === showMoments.said) return; // or a button would lose the focus
  showMoments.said = said.join();
  byId("moments").replaceChildren(...view.moments.map(({ t, words }) => {
    const entry = element("li"), there = element("button", clock(t));
    there.type = "button";
    there.addEventListener("click", () => look(Math.floor(t / view.width)));
    entry.append(there, ` ${words}`);
    return entry;
  }));
}

function showLedger() {
  const { ledger } = view.standing;
  const figures = ["sampled", "published", "dropped", "failed", "in_flight"].map((name) => [name.replace("_", " "), ledger[name]]);
  const reasons = Object.entries(ledger.reasons);
  byId("ledger").replaceChildren(...[...figures, ...reasons].map(([name, count]) => {
    const figure = element("div");
    figure.append(element("dt", name), element("dd", String(count)));
    return figure;
  }));
}

function showCursor() {
  const slider = byId("cursor");
  slider.disabled = view.length === 0;
  slider.max = Math.max(0, view.length - 1);
  if (view.cursor === null) slider.value = slider.max;
  byId("live").disabled = view.cursor === null;
  const where = view.cursor === null ? view.length - 1 : view.cursor;
  const bin = where < 0 ? undefined : filled(view.bins, view.length)[where];
  const span = `${clock(where * view.width)} to ${clock((where + 1) * view.width)}`;
  const said = where < 0 ? "" : `${span}: ${bin && bin.scores ? words(bin) : "no face in view"}`;
  write("readout", said);
  slider.setAttribute("aria-valuetext", said);
}

function words(bin) {
  const strongest = view.emotions.map((emotion, n) => [emotion, bin.scores[n]]).sort((a, b) => b[1] - a[1]);
  const named = strongest.filter(([, share]) => share >= 0.05).map(([emotion, share]) => `${emotion} ${percent(share)}`);
  return `${named.join(", ")}; valence ${signed(bin.valence)}, arousal ${signed(bin.arousal)}; ${Math.round(10 * bin.faces) / 10} faces`;
}

function showFigures() {
  const head = ["from", ...view.emotions, "valence", "arousal", "faces"];
  byId("figures-head").replaceChildren(line(head, "th"));
  byId("figures-body").replaceChildren(...view.bins.flatMap((bin, where) => [line([
    clock(where * view.width),
    ...view.emotions.map((_, n) => (bin.scores ? percent(bin.scores[n], 1) : "")),
    bin.valence === null ? "" : signed(bin.valence),
    bin.arousal === null ? "" : signed(bin.arousal),
    String(bin.faces),
  ], "td")]));
}

function line(texts, kind) {
  const row = element("tr");
  row.append(...texts.map((each, n) => {
    const cell = element(n ? kind : "th", each, n ? "number" : "");
    if (!n || kind === "th") cell.scope = kind === "th" ? "col" : "row";
    return cell;
  }));
  return row;
}

// Looking at a time.

function look(bin) {
  view.cursor = bin === null || bin >= view.length - 1 ? null : bin;
  draw();
}

function watchPointer(box, binOf) {
  const follow = (event) => view.length && look(binOf(event.clientX - box.getBoundingClientRect().left));
  box.addEventListener("pointermove", follow);
  box.addEventListener("pointerdown", follow);
  box.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && look(null));
}

// Small things.

/** The colours as they are now, light or dark, for what is painted and not styled. */
function paints() {
  const style = getComputedStyle(document.documentElement);
  const paint = (name) => [name, style.getPropertyValue(`--${name}`).trim()];
  return Object.fromEntries([...view.emotions, "ink"].map(paint));
}

function element(kind, content = "", name = "") {
  const made = document.createElement(kind);
  if (content) made.textContent = content;
  if (name) made.className = name;
  return made;
}

function write(id, content) {
  text(byId(id), content);
}

/** Only where it is another: what changes is read out, and cannot be selected. */
function text(where, content) {
  if (where.textContent !== content) where.textContent = content;
}

byId("name").textContent = lecture;
byId("cursor").addEventListener("input", (event) => look(Number(event.target.value)));
byId("live").addEventListener("click", () => look(null));
byId("figures").addEventListener("toggle", draw);
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").textContent = paused ? "Go on" : "Pause";
  if (paused) disconnect();
  else connect();
  showStatus();
});
// Browsers keep six connections to a server; pages that nobody sees leave theirs to others.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else if (!paused) connect();
});
window.addEventListener("resize", () => requestAnimationFrame(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
for (const id of ["class-chart", "affect-chart"]) watchPointer(byId(id), (x) => binAt(byId(id), view, x));
connect();
