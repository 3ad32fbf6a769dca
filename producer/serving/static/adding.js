// Adding recordings: drop or choose files, or name a path. The server reads them one after the other.

import { byId, element, text } from "./elements.js";

const { percent } = LecturePulse;

/** Files of this page that wait for their upload, the first one is being sent. */
const queue = [];
const rows = new Map();
let room = Infinity, sending = false, continued = null;

/** Show what the server says of its additions; `lectures` is id -> lecture. Whether any is unfinished. */
export function showAdditions({ paths, room: left, recordings }, lectures) {
  room = left;
  byId("path-form").hidden = !paths;
  const queued = queue.slice(sending ? 1 : 0).map((file) => ({ id: `queued-${file.key}`, name: file.name, state: "queued", messages: [], file }));
  const all = [...recordings, ...queued];
  const known = new Set(all.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (!known.has(id)) {
      row.line.remove();
      rows.delete(id);
    }
  }
  for (const each of all) showAddition(each, lectures.get(each.lecture));
  return all.some(({ state }) => ["queued", "uploading", "waiting", "reading"].includes(state));
}

function showAddition(addition, lecture) {
  const row = rows.get(addition.id) || additionRow(addition);
  row.line.dataset.state = addition.state;
  const [words, part] = progressOf(addition, lecture);
  text(row.words, words);
  row.bar.hidden = part === undefined;
  if (part === null) row.bar.removeAttribute("value");
  else if (part !== undefined) row.bar.value = part;
  row.open.hidden = !lecture;
  if (lecture) {
    row.open.href = `/lectures/${lecture.id}`;
    text(row.open, lecture.status === "running" ? `follow ${lecture.id} live` : `open the report of ${lecture.id}`);
  }
  if (row.messages.textContent !== addition.messages.join("")) {
    row.messages.replaceChildren(...addition.messages.map((each) => element("li", each)));
  }
  const over = ["done", "failed", "stopped"].includes(addition.state);
  text(row.button, over ? "Close" : "Stop");
  row.button.setAttribute("aria-label", `${over ? "Close the line of" : "Stop adding"} ${addition.name}`);
}

/** The state in words, and the part that is done: null if it is not known, undefined if there is nothing to show. */
function progressOf({ state, size, received, stopping, name }, lecture) {
  if (state === "uploading") return [`uploading, ${percent(size ? received / size : 0)}`, size ? received / size : 0];
  if (state === "queued") return ["waits for its upload"];
  if (state === "waiting") return ["waits until the recording before it is read"];
  if (state === "done") return ["done"];
  if (state === "failed") return ["failed"];
  if (state === "stopped") return ["stopped"];
  if (stopping) return ["stopping: what is in flight is finished", null];
  if (!lecture || !lecture.ledger.published) return ["reading: starting", null];
  const { ledger: { published }, expected } = lecture;
  if (!expected) return [`reading, ${published} frames`, null];
  return [`reading, ${percent(Math.min(1, published / expected))}, ${published} of ${expected} frames`, Math.min(1, published / expected)];
}

function additionRow({ id, name, file }) {
  const line = element("li"), state = element("span", "", "state");
  const row = { line, words: element("span"), open: element("a"), bar: element("progress"), messages: element("ul", "", "messages"), button: element("button") };
  row.bar.setAttribute("aria-label", `Progress of ${name}`);
  row.button.type = "button";
  row.button.addEventListener("click", () => (file ? leaveOut(file) : call("DELETE", `/api/recordings/${id}`).then(() => document.dispatchEvent(new Event("added")))));
  state.append(row.words, " ", row.open);
  line.append(element("span", name, "name"), row.button, state, row.bar, row.messages);
  byId("additions").append(line);
  rows.set(id, row);
  return row;
}

/** Take a file out of the queue, unless it is being sent or was taken out before. */
function leaveOut(file) {
  const place = queue.indexOf(file);
  if (place > 0) queue.splice(place, 1);
  document.dispatchEvent(new Event("added"));
}

// Requests.

/** Send a request that changes something. Null if it was done, otherwise the reason. */
export async function call(method, address, body, type) {
  try {
    const answer = await fetch(address, { method, body, headers: type ? { "Content-Type": type } : {} });
    if (answer.ok) return null;
    const said = await answer.text();
    try {
      return JSON.parse(said).error;
    } catch {
      return said.trim();
    }
  } catch {
    return "the server does not answer";
  }
}

/** The next recording continues this lecture; null: it is a new one. */
export function continueLecture(lecture) {
  continued = lecture && lecture.id;
  byId("continuing").hidden = lecture === null;
  if (lecture === null) return;
  byId("continuing-words").textContent = `To continue ${lecture.id}, give ${lecture.source} again.`;
  byId("adding").scrollIntoView();
  byId("files").focus();
}

/** The options of the recording that is added now. */
function options() {
  const chosen = { class_only: byId("class-only").checked, ...(continued && { resume: continued }) };
  continueLecture(null);
  return chosen;
}

function refuse(reason) {
  byId("refused").hidden = reason === null;
  byId("refused").textContent = reason;
}

function add(files) {
  refuse(null);
  for (const file of files) {
    if (file.size > room) refuse(`${file.name}: has ${file.size} bytes, and the disk has room for ${room}; free some space`);
    else queue.push(Object.assign(file, { key: `${performance.now()}-${Math.random()}`, options: options() }));
  }
  if (!sending) send();
  document.dispatchEvent(new Event("added"));
}

async function send() {
  sending = true;
  while (queue.length) {
    const [file] = queue;
    const words = new URLSearchParams({ ...file.options, name: file.name, class_only: file.options.class_only ? 1 : 0 });
    const refused = await call("POST", `/api/recordings?${words}`, file, "application/octet-stream");
    if (refused === "the server does not answer") refuse(`${file.name}: the upload broke off; add it again`);
    else if (refused !== null) refuse(refused);
    queue.shift();
  }
  sending = false;
}

async function addPath(event) {
  event.preventDefault();
  const path = byId("path").value.trim();
  if (!path) return;
  const words = JSON.stringify({ path, ...options() });
  const refused = await call("POST", "/api/recordings", words, "application/json");
  refuse(refused);
  if (refused === null) byId("path").value = "";
  document.dispatchEvent(new Event("added"));
}

function dropped(event) {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
  const folder = items.map((item) => item.webkitGetAsEntry()).find((entry) => entry && entry.isDirectory);
  if (folder) refuse(`${folder.name}: is a folder; drop the video files in it`);
  else if (!items.length) refuse("drop video files from a folder of this machine");
  else add(event.dataTransfer.files);
}

byId("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
byId("continue-not").addEventListener("click", () => continueLecture(null));
byId("path-form").addEventListener("submit", addPath);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget === null && byId("drop").classList.remove("over"));
document.addEventListener("drop", dropped);
window.addEventListener("beforeunload", (event) => queue.length && event.preventDefault());
