// Notes at times of the lecture. They are saved as a WebVTT file, which can be loaded again; the page keeps nothing.
//
//   LecturePulse.notes(place, lecture, now) -> { follow, reveal }   `now` gives the time of a new note in seconds
//
// The field for notes is revealed when a recording or a file of notes is opened.
"use strict";
LecturePulse.notes = (place, lecture, now) => {
  const { clock } = LecturePulse;
  const NOTE_S = 5; // a note is shown for this long in a player, or until the next one
  const one = (name) => place.querySelector(`[data-${name}]`);
  const text = one("note"), add = one("note-add"), list = one("note-list");
  let notes = []; // {t, text}, by time
  let saved = true;

  add.addEventListener("click", write);
  text.addEventListener("keydown", (event) => { if (event.key === "Enter") write(); });
  one("notes-save").addEventListener("click", save);
  one("notes-load").addEventListener("change", (event) => load(event.target));
  addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  LecturePulse.onTime(follow);

  function reveal() {
    one("notes").hidden = false;
    follow();
  }

  function follow() {
    add.textContent = `Add at ${clock(now())}`;
  }

  function write() {
    const words = text.value.trim();
    if (!words) return text.focus();
    change([...notes, { t: now(), text: words }], false);
    text.value = "";
    text.focus();
  }

  function change(changed, isSaved) {
    notes = changed.sort((a, b) => a.t - b.t);
    saved = isSaved || !notes.length;
    one("notes-keep").hidden = !notes.length;
    place.classList.toggle("noted", notes.length > 0);
    list.replaceChildren(...notes.map((note) => {
      const item = document.createElement("li"), time = document.createElement("a"), words = document.createElement("span"), remove = document.createElement("button");
      Object.assign(time, { href: `#t=${note.t}`, textContent: clock(note.t) });
      time.dataset.t = note.t;
      words.textContent = note.text;
      Object.assign(remove, { type: "button", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove the note at ${clock(note.t)}`);
      remove.addEventListener("click", () => { change(notes.filter((other) => other !== note), false); text.focus(); });
      item.append(time, words, remove);
      return item;
    }));
  }

  function save() {
    const cues = notes.map(({ t, text: words }, n) => {
      const end = Math.max(t + 0.5, Math.min(t + NOTE_S, notes[n + 1]?.t ?? Infinity));
      return `${stamp(t)} --> ${stamp(end)}\n${escaped(words)}\n`;
    });
    const url = URL.createObjectURL(new Blob([`WEBVTT - notes of lecture ${lecture}\n\n${cues.join("\n")}`], { type: "text/vtt" }));
    Object.assign(document.createElement("a"), { href: url, download: `${lecture}.notes.vtt` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    saved = true;
  }

  async function load(field) {
    const file = field.files[0];
    field.value = "";
    if (!file) return;
    const content = (await file.text()).replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
    const read = content.startsWith("WEBVTT") ? content.split(/\n{2,}/).map(cue).filter(Boolean) : [];
    const warning = one("recording-warning");
    warning.hidden = read.length > 0;
    warning.textContent = read.length ? "" : `${file.name} holds no notes; give a WebVTT file (.vtt) that this page saved.`;
    const known = new Set(notes.map((note) => `${note.t.toFixed(3)} ${note.text}`));
    if (!read.length) return;
    reveal();
    change([...notes, ...read.filter((note) => !known.has(`${note.t.toFixed(3)} ${note.text}`))], saved);
  }

  function cue(block) {
    const lines = block.split("\n");
    const timing = lines.findIndex((line) => line.includes("-->"));
    const found = timing < 0 ? null : /^(?:(\d+):)?(\d\d):(\d\d)\.(\d{3})\s+-->/.exec(lines[timing]);
    const words = lines.slice(timing + 1).join(" ").replace(/<[^>]*>/g, "").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&").trim();
    return found && words ? { t: Number(found[1] ?? 0) * 3600 + Number(found[2]) * 60 + Number(found[3]) + Number(found[4]) / 1000, text: words } : null;
  }

  const escaped = (words) => words.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function stamp(t) {
    const ms = Math.round(1000 * t), two = (n) => String(n).padStart(2, "0");
    return `${two(Math.floor(ms / 3_600_000))}:${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
  }

  return { follow, reveal };
};
