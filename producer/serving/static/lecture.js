// The page of one lecture: shows the patches that the server sends.

import { binAt, drawAffect, drawClass, drawPresence, drawStrip, filled } from "./drawing.js";
import { byId, element, text } from "./elements.js";

const { clock, date, drawMap, percent, placeParts, signed } = LecturePulse;
const RECONNECT_MS = 5000;
const STRIPS = "The colour shows the displayed expression, and so does the height of the line, in the order of the chart above. A paler colour means a smaller share. Dotted: seen, but the face could not be read (too small, turned away, dark or blurred). Empty: not seen.";
// For users whose system asks for less motion, charts change at most this often.
const CALM_MS = 5000;

const SVG = "http://www.w3.org/2000/svg";
const lecture = decodeURIComponent(location.pathname.split("/").pop());
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** The lecture as the server described it. `cursor` is the chosen bin, null for the newest. */
const view = { edition: null, standing: null, emotions: [], width: 1, length: 0, now: null, moments: [], sentences: [], parts: {}, bins: [], participants: new Map(), cursor: null };
const rows = new Map();
let source = null, paused = false, reachable = true, drawn = 0, waiting = 0;

// Messages from the server.

function connect() {
  disconnect();
  const since = view.edition === null ? "" : `?since=${encodeURIComponent(view.edition)}`;
  source = new EventSource(`/lectures/${lecture}/stream${since}`);
  source.onmessage = (message) => {
    reachable = true;
    view.edition = message.lastEventId;
    take(JSON.parse(message.data));
    if (isOver()) openReport();
    else show();
  };
  source.onerror = () => {
    reachable = false;
    showStatus();
    if (source.readyState === EventSource.CLOSED) waiting = setTimeout(connect, RECONNECT_MS);
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
    view.participants.clear();
    view.cursor = null;
  }
  const { standing, emotions, width, length, now, moments, sentences } = patch;
  Object.assign(view, { standing, emotions, width, length, now, moments, sentences, parts: patch.parts ?? view.parts });
  for (const [bin, frames, faces, read, scores, valence, arousal, valenceMargin, arousalMargin, presence] of patch.bins) {
    view.bins[bin] = { frames, faces, read, scores, valence, arousal, valenceMargin, arousalMargin, presence };
  }
  for (const { bins, ...known } of patch.participants) {
    const person = view.participants.get(known.id) || { bins: [] };
    Object.assign(person, known);
    for (const [bin, frames, emotion, strength] of bins) person.bins[bin] = { frames, emotion, strength };
    view.participants.set(known.id, person);
  }
}

// The page.

function isOver() {
  return view.standing.phase === "over" && view.standing.connected;
}

/** The server has the report at this address. It begins at the chosen time. */
function openReport() {
  disconnect();
  if (view.cursor !== null) location.hash = `t=${view.cursor * view.width}`;
  location.reload();
}

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
  showParticipants();
  showSentences();
  showMoments();
  showLedger();
  showCursor();
  drawClass(byId("class-chart"), view);
  drawAffect(byId("affect-chart"), view);
  showParts();
  showPresence();
  if (byId("class-table").open) showTable();
}

function showStatus() {
  const [text, kind] = status();
  write("status", text);
  byId("status").dataset.kind = kind;
  document.title = `${lecture}: ${text} – LecturePulse`;
  write("behind", behind(view.standing));
  byId("behind").hidden = !byId("behind").textContent;
  const { source: from, started, fps } = view.standing || {};
  write("about", started ? `${from}, begun ${date(started)}, ${fps} ${fps === 1 ? "frame" : "frames"} a second` : "");
}

/** How far the page is, and how far behind what is fed. Not announced, because it changes every second. */
function behind(standing) {
  if (paused || !reachable || standing === null || standing.behind === null || !standing.connected) return "";
  const { expected, ledger, behind: seconds } = standing;
  const part = expected ? `${percent(Math.min(1, ledger.published / expected))} of the recording, ` : "";
  return `${part}${seconds < 120 ? `${seconds} s` : clock(seconds)} behind`;
}

/** Whether frames that were published before this page was opened are still being read. */
function isReadingEarlier() {
  return !view.standing.caught_up && view.standing.read < view.standing.ledger.published;
}

/** The status in words, and its kind, which chooses the colour. */
function status() {
  if (paused) return ["paused", "waiting"];
  if (!reachable) return ["the server does not answer; trying again", "bad"];
  const standing = view.standing;
  if (standing === null) return ["connecting", "waiting"];
  if (!standing.connected) return ["Redis does not answer; the page shows the last state", "bad"];
  if (standing.phase === "waiting") return ["waiting: there is no such lecture yet", "waiting"];
  if (standing.phase === "forgotten") return ["forgotten: all results were erased", "over"];
  if (isReadingEarlier()) {
    // In steps of ten percent, because screen readers read every change.
    const tenths = Math.floor((10 * standing.read) / standing.ledger.published);
    return [`reading earlier frames: ${percent(tenths / 10)}`, "waiting"];
  }
  if (standing.status === "abandoned") return ["abandoned: its producer is gone", "waiting"];
  return ["running", "good"];
}

/** The class at the cursor, or in the newest frame. */
function showClass() {
  write("few", view.standing.min_group > 1 ? `, or fewer than ${view.standing.min_group} people` : "");
  const bin = view.cursor === null ? null : filled(view.bins, view.length)[view.cursor];
  const now = view.now;
  const at = view.cursor !== null ? `at ${clock(view.cursor * view.width)}` : now ? `now, ${clock(now.t)}` : "";
  write("now-at", at);
  const scores = bin ? bin.scores : view.cursor === null && now && now.scores ? view.emotions.map((emotion) => now.scores[emotion]) : null;
  if (byId("shares").children.length !== view.emotions.length) {
    // From top to bottom, as in the chart.
    const fromTop = [...view.emotions].reverse();
    byId("shares").replaceChildren(...fromTop.map(shareRow));
    byId("legend").replaceChildren(...fromTop.map(legendEntry));
  }
  view.emotions.forEach((emotion, n) => {
    const row = byId("shares").querySelector(`[data-emotion="${emotion}"]`);
    row.querySelector(".bar").style.width = scores ? `${(100 * scores[n]).toFixed(1)}%` : "0";
    row.querySelector(".share").textContent = scores ? percent(scores[n]) : "–";
  });
  const shown = view.cursor === null ? now : bin;
  write("faces", shown ? faces(shown) : "–");
  for (const name of ["valence", "arousal"]) write(name, shown && shown[name] !== null ? signed(shown[name]) : "–");
}

/** Why nothing is shown although faces could be read. */
function few() {
  return `fewer than ${view.standing.min_group} people, hidden`;
}

/** The number of faces, and of those that could not be read. */
function faces(shown) {
  const rounded = (number) => Math.round(10 * number) / 10;
  const unread = rounded(shown.faces - shown.read);
  const count = unread > 0 ? `${rounded(shown.faces)} (${unread} not readable)` : String(rounded(shown.faces));
  return shown.read > 0 && !shown.scores ? `${count}; ${few()}` : count;
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

/** The rows of chapters and slides below the chart of the class. */
function showParts() {
  const seconds = view.length * view.width;
  for (const [kind, parts] of Object.entries(view.parts)) {
    const row = byId(kind);
    row.hidden = parts.length === 0;
    if (row.dataset.shown !== JSON.stringify(parts)) row.replaceChildren(...parts.map(([t, title]) => {
      const part = element("li"), there = part.appendChild(link(t, kind === "slides" ? title.replace("slide ", "") : title));
      there.title = `${title}, ${clock(t)}`;
      return part;
    }));
    row.dataset.shown = JSON.stringify(parts);
    parts.forEach((_, n) => { row.children[n].dataset.end = n + 1 < parts.length ? parts[n + 1][0] : seconds; });
    placeParts(row, seconds);
  }
}

/** The shares of the people who face the screen, if known. */
function showPresence() {
  const known = view.bins.some((bin) => bin && bin.presence);
  byId("presence").hidden = !known;
  if (known) drawPresence(byId("presence-chart"), view);
}

function showParticipants() {
  write("missing", view.standing.missing);
  byId("missing").hidden = !view.standing.missing;
  const participants = [...view.participants.values()];
  const leftOut = participants.filter((person) => person.left_out).map((person) => `${label(person)}, ${person.left_out}`);
  write("left-out", leftOut.length ? `Without ${leftOut.join(", ")}, as the roster says.` : "");
  byId("left-out").hidden = !leftOut.length;
  byId("participants").hidden = participants.length === 0;
  write("participants-count", participants.length ? `${participants.length}` : "");
  const anybody = view.now !== null && view.bins.some((bin) => bin && bin.faces > 0);
  write("participants-note", participants.length ? STRIPS : anybody ? "Nothing is published per person in this lecture." : "Nobody has been seen yet.");
  write("participants-at", view.cursor === null ? "displayed" : `at ${clock(view.cursor * view.width)}`);
  for (const [id, row] of rows) {
    if (!view.participants.has(id)) {
      row.line.remove();
      rows.delete(id);
    }
  }
  const colours = paints();
  for (const person of participants) {
    const row = rows.get(person.id) || participantRow(person.id);
    showParticipant(row, person);
    drawStrip(row.strip, person, view, colours);
  }
}

function participantRow(id) {
  const cells = {};
  const line = element("tr");
  line.dataset.participant = id;
  const head = line.appendChild(element("th"));
  head.scope = "row";
  const map = head.appendChild(document.createElementNS(SVG, "svg"));
  cells.who = head.appendChild(element("span"));
  const over = line.appendChild(element("td", "", "strip"));
  const strip = over.appendChild(element("canvas"));
  strip.setAttribute("role", "img");
  for (const name of ["current", "seen", "last"]) cells[name] = line.appendChild(element("td", "", name));
  byId("participants-body").append(line);
  const row = { line, strip, cells, map };
  rows.set(id, row);
  watchPointer(strip, (x) => Math.min(view.length - 1, Math.max(0, Math.floor((x / strip.clientWidth) * view.length))));
  return row;
}

function showParticipant({ line, strip, cells, map }, person) {
  map.style.display = person.map ? "" : "none";
  if (person.frames === 0) return showLost({ line, strip, cells }, person);
  if (person.map) drawMap(map, ...person.map);
  const unseen = view.now === null ? 0 : view.now.t - person.last;
  const away = unseen > view.standing.away_after;
  const gone = away && view.cursor === null;
  line.classList.toggle("away", gone);
  text(cells.who, label(person));
  const bin = view.cursor === null ? null : person.bins[view.cursor];
  const [emotion, score] = view.cursor === null ? [person.emotion, person.score] : bin && bin.emotion !== null ? [view.emotions[bin.emotion], bin.strength] : [null, 0];
  const without = view.cursor === null ? `not readable: ${person.reason}` : bin ? "not readable" : "not seen";
  text(cells.current, emotion === null ? without : `${emotion} ${percent(score)}`);
  cells.current.classList.toggle("swatch", emotion !== null && !gone);
  if (emotion !== null) cells.current.style.setProperty("--colour", `var(--${emotion})`);
  const seen = view.standing.read ? percent(Math.min(1, person.frames / view.standing.read)) : "–";
  text(cells.seen, person.missing ? `${seen} (${person.missing})` : seen);
  text(cells.last, away ? `away for ${clock(unseen)}` : "in view");
  const unread = person.unread ? `, the face not readable in ${percent(person.unread / person.frames)} of these` : "";
  strip.setAttribute("aria-label", `Displayed from ${clock(person.first)} to ${clock(person.last)}, ${cells.seen.textContent} of all frames${unread}`);
  cells.seen.title = unread.slice(2);
}

/** A participant of whom no event is left in Redis. */
function showLost({ line, strip, cells }, person) {
  line.classList.add("away");
  text(cells.who, label(person));
  text(cells.current, person.missing);
  cells.current.classList.remove("swatch");
  text(cells.seen, "–");
  text(cells.last, "–");
  strip.setAttribute("aria-label", person.missing);
}

function label(person) {
  return person.name ? `${person.name} (${person.id})` : person.id;
}

function showSentences() {
  const sentences = isReadingEarlier() ? [["The lecture until now is being read. Sentences about it come after that."]] : view.sentences;
  const said = JSON.stringify(sentences);
  if (said === showSentences.said) return; // replacing a link would take the focus from it
  showSentences.said = said;
  byId("sentences").replaceChildren(...sentences.map((parts) => {
    const sentence = element("p");
    sentence.append(...parts.map((part) => (typeof part === "string" ? part : link(...[part].flat()))));
    return sentence;
  }));
}

/** A time of the lecture, or the name of its slide or chapter; a click on it chooses it. */
function link(t, name = clock(t)) {
  const there = element("a", name);
  there.href = `#t=${t}`;
  there.dataset.t = t;
  return there;
}

function showMoments() {
  const yet = view.standing.phase === "over" ? "" : " until now";
  write("moments-note", view.moments.length ? `What the class displayed differently than usual, and who came and went${yet}.` : `None${yet}.`);
  const listed = JSON.stringify(view.moments);
  if (listed === showMoments.listed) return;
  showMoments.listed = listed;
  byId("moments").replaceChildren(...view.moments.map(({ t, end, kind, words }) => {
    const entry = element("li");
    entry.append(link(t), ...(end > t ? [" to ", link(end)] : []), ` ${kind}: ${words}`);
    return entry;
  }));
}

function showLedger() {
  const { ledger } = view.standing;
  const counts = ["sampled", "published", "dropped", "failed", "in_flight"].map((name) => [name.replace("_", " "), ledger[name]]);
  const reasons = Object.entries(ledger.reasons);
  byId("ledger").replaceChildren(...[...counts, ...reasons].map(([name, count]) => {
    const entry = element("div");
    entry.append(element("dt", name), element("dd", String(count)));
    return entry;
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
  const content = where < 0 ? "" : `${span}: ${bin && bin.scores ? words(bin) : bin && bin.faces ? `${bin.read > 0 ? few() : "no face could be read"}, ${Math.round(10 * bin.faces) / 10} in view` : "no face in view"}`;
  write("readout", content);
  slider.setAttribute("aria-valuetext", content);
}

function words(bin) {
  const strongest = view.emotions.map((emotion, n) => [emotion, bin.scores[n]]).sort((a, b) => b[1] - a[1]);
  const named = strongest.filter(([, share]) => share >= 0.05).map(([emotion, share]) => `${emotion} ${percent(share)}`);
  return `${named.join(", ")}; valence ${signed(bin.valence)}, arousal ${signed(bin.arousal)}; ${faces(bin)} faces`;
}

function showTable() {
  const head = ["from", ...view.emotions, "valence", "arousal", "faces", "facing the screen", "turned away", "out of view"];
  byId("class-table-head").replaceChildren(line(head, "th"));
  byId("class-table-body").replaceChildren(...view.bins.flatMap((bin, where) => [line([
    clock(where * view.width),
    ...view.emotions.map((_, n) => (bin.scores ? percent(bin.scores[n]) : "")),
    bin.valence === null ? "" : signed(bin.valence),
    bin.arousal === null ? "" : signed(bin.arousal),
    faces(bin),
    ...[0, 1, 2].map((n) => (bin.presence && bin.presence[n] !== null ? percent(bin.presence[n]) : "")),
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

// Choosing a time.

function select(bin) {
  view.cursor = bin === null || bin >= view.length - 1 ? null : bin;
  draw();
}

function watchPointer(box, binOf) {
  const follow = (event) => view.length && select(binOf(event.clientX - box.getBoundingClientRect().left));
  box.addEventListener("pointermove", follow);
  box.addEventListener("pointerdown", follow);
  box.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && select(null));
}

// Elements and text.

/** The current colours, light or dark, for canvases, which style sheets do not reach. */
function paints() {
  const style = getComputedStyle(document.documentElement);
  const paint = (name) => [name, style.getPropertyValue(`--${name}`).trim()];
  return Object.fromEntries([...view.emotions, "ink", "quiet"].map(paint));
}

function write(id, content) {
  text(byId(id), content);
}

byId("name").textContent = lecture;
byId("cursor").addEventListener("input", (event) => select(Number(event.target.value)));
byId("live").addEventListener("click", () => select(null));
document.addEventListener("click", (event) => {
  const time = event.target.closest("[data-t]");
  if (!time) return;
  event.preventDefault();
  select(Math.floor(Number(time.dataset.t) / view.width + 1e-6));
  byId("class-chart").scrollIntoView({ block: "center" });
});
byId("class-table").addEventListener("toggle", draw);
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").textContent = paused ? "Continue" : "Pause";
  if (paused) disconnect();
  else connect();
  showStatus();
});
// A browser opens six connections to a server. A hidden page gives its own to others.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else if (!paused) connect();
});
window.addEventListener("resize", () => requestAnimationFrame(draw));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
for (const id of ["class-chart", "affect-chart", "presence-chart"]) watchPointer(byId(id), (x) => binAt(byId(id), view, x));
connect();
