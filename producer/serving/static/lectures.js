// The list of lectures, loaded again every few seconds: sorted, searched, downloaded, forgotten.

import { call, continueLecture, showAdditions } from "./adding.js";
import { byId, element, text } from "./elements.js";

const { date, percent } = LecturePulse;
// Milliseconds between two loads, and while a recording is being added.
const REFRESH_MS = 3000, BUSY_MS = 1000;
const COLUMNS = [
  { name: "lecture", of: ({ id }) => id },
  { name: "status", of: statusOf },
  { name: "started", of: ({ started }) => started, shown: ({ started }) => date(started) },
  { name: "participants", of: ({ participants }) => participants, kind: "number" },
  { name: "frames", of: ({ ledger }) => ledger.published, shown: ({ ledger }) => `${ledger.published} of ${ledger.sampled}`, kind: "number" },
  { name: "source", of: ({ source }) => source, kind: "source" },
];
const rows = new Map();
const sorting = { column: COLUMNS[2], descending: true };
let lectures = new Map(), chosen = null, waiting = 0;

async function load(address) {
  const answer = await fetch(address), body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

async function refresh() {
  clearTimeout(waiting);
  let busy = false;
  try {
    const [listed, added] = await Promise.all([load("/api/lectures"), load("/api/recordings")]);
    lectures = new Map(listed.lectures.map((each) => [each.id, each]));
    show();
    busy = showAdditions(added, lectures);
    if (listed.down) setStatus(`lectures are missing, because ${listed.down.join(", ")} cannot be read`, "bad");
    else setStatus("up to date", "good");
  } catch (failure) {
    setStatus(failure instanceof TypeError ? "the server does not answer" : failure.message, "bad");
  }
  clearTimeout(waiting);
  waiting = setTimeout(refreshIfShown, busy ? BUSY_MS : REFRESH_MS);
}

function refreshIfShown() {
  if (document.hidden) waiting = setTimeout(refreshIfShown, BUSY_MS);
  else refresh();
}

function statusOf({ abandoned, status, live, expected, ledger }) {
  if (abandoned) return "abandoned";
  if (status !== "running") return status;
  if (live) return "running, live";
  return expected ? `running, ${percent(Math.min(1, ledger.published / expected))}` : status;
}

function show() {
  byId("none").hidden = lectures.size > 0;
  byId("lectures").hidden = byId("search-line").hidden = lectures.size === 0;
  for (const [id, row] of rows) {
    if (!lectures.has(id)) {
      row.line.remove();
      rows.delete(id);
    }
  }
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  sorted([...lectures.values()]).forEach((lecture, place) => {
    const row = rows.get(lecture.id) || lectureRow(lecture);
    COLUMNS.forEach((column, n) => text(row.cells[n], String((column.shown || column.of)(lecture))));
    row.forget.disabled = lecture.fed;
    row.resume.hidden = lecture.live || lecture.fed || !["stopped", "failed", "abandoned"].includes(statusOf(lecture));
    row.forget.title = lecture.fed ? "It is being read; stop that first" : "";
    const content = row.cells.map((cell) => cell.textContent).join(" ").toLowerCase();
    row.line.hidden = !words.every((word) => content.includes(word));
    found += !row.line.hidden;
    const there = byId("lectures-body").children[place];
    if (there !== row.line) byId("lectures-body").insertBefore(row.line, there || null);
  });
  text(byId("count"), words.length ? `${found} of ${lectures.size}` : lectures.size ? String(lectures.size) : "");
}

function sorted(list) {
  const { column, descending } = sorting;
  const compared = (one, other) => (typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true }));
  return list.sort((one, other) => (descending ? -1 : 1) * compared(column.of(one), column.of(other)) || compared(one.id, other.id));
}

function lectureRow({ id }) {
  const line = element("tr"), actions = element("td", "", "actions"), forget = element("button", "Forget"), resume = element("button", "Continue");
  const cells = COLUMNS.map(({ name, kind = "" }, n) => {
    const cell = line.appendChild(element(n ? "td" : "th", "", kind));
    if (n) cell.dataset.label = name;
    return cell;
  });
  const link = cells[0].appendChild(element("a"));
  cells[0].scope = "row";
  cells[0] = link;
  link.href = `/lectures/${id}`;
  for (const [name, ending] of [["CSV", "csv"], ["Excel", "xlsx"]]) {
    const download = actions.appendChild(element("a", name));
    download.href = `/lectures/${id}/export.${ending}`;
    download.setAttribute("aria-label", `Download ${id} as ${name}`);
  }
  forget.type = "button";
  forget.setAttribute("aria-label", `Forget ${id}`);
  forget.addEventListener("click", () => ask(id));
  resume.type = "button";
  resume.setAttribute("aria-label", `Continue ${id}`);
  resume.addEventListener("click", () => continueLecture(lectures.get(id)));
  actions.append(resume, forget);
  line.append(actions);
  const row = { line, cells, forget, resume };
  rows.set(id, row);
  return row;
}

// Forgetting.

function ask(id) {
  chosen = id;
  byId("forget-heading").textContent = `Forget ${id}?`;
  byId("forget-problem").hidden = true;
  byId("forget-yes").disabled = false;
  byId("forget").showModal();
}

async function forget() {
  byId("forget-yes").disabled = true;
  const refused = await call("DELETE", `/api/lectures/${chosen}`);
  byId("forget-yes").disabled = false;
  byId("forget-problem").hidden = refused === null;
  byId("forget-problem").textContent = refused;
  if (refused !== null) return;
  byId("forget").close();
  lectures.delete(chosen);
  show();
  byId("search").focus();
}

function setStatus(content, kind) {
  text(byId("status"), content);
  byId("status").dataset.kind = kind;
}

function sortHead(column) {
  const head = element("th", "", column.kind || ""), button = element("button", column.name);
  head.scope = "col";
  button.type = "button";
  button.addEventListener("click", () => {
    Object.assign(sorting, { column, descending: sorting.column === column && !sorting.descending });
    markSorted();
    show();
  });
  head.append(button);
  return head;
}

function markSorted() {
  COLUMNS.forEach((column, n) => {
    const head = byId("lectures-head").children[n];
    if (column === sorting.column) head.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

const last = element("th", "files and forgetting");
last.scope = "col";
byId("lectures-head").replaceChildren(...COLUMNS.map(sortHead), last);
markSorted();
byId("search").addEventListener("input", show);
document.addEventListener("added", refresh);
byId("forget-no").addEventListener("click", () => byId("forget").close());
byId("forget-yes").addEventListener("click", forget);
refresh();
