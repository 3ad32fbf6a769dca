// The list of lectures, loaded again every few seconds.

const REFRESH_MS = 3000;
const byId = (id) => document.getElementById(id);

async function refresh() {
  try {
    const answer = await fetch("/api/lectures");
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error);
    show(body.lectures);
    setStatus("up to date", "good");
  } catch (failure) {
    setStatus(failure instanceof TypeError ? "the server does not answer" : failure.message, "bad");
  }
}

function show(lectures) {
  byId("none").hidden = lectures.length > 0;
  byId("lectures").hidden = lectures.length === 0;
  byId("lectures-body").replaceChildren(...lectures.reverse().map(row));
}

function row(lecture) {
  const line = document.createElement("tr"), head = document.createElement("th"), link = document.createElement("a");
  head.scope = "row";
  link.href = `/lectures/${lecture.id}`;
  link.textContent = lecture.id;
  head.append(link);
  line.append(
    head,
    cell(lecture.abandoned ? "abandoned" : lecture.status),
    cell(new Date(1000 * lecture.started).toLocaleString()),
    cell(lecture.participants, "number"),
    cell(`${lecture.ledger.published} of ${lecture.ledger.sampled}`, "number"),
    cell(lecture.source),
  );
  return line;
}

function cell(text, kind = "") {
  const element = document.createElement("td");
  element.textContent = text;
  element.className = kind;
  return element;
}

function setStatus(text, kind) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.kind = kind;
}

await refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MS);
