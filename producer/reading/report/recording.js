// The teacher's own recording beside the report, with boxes over its picture, and notes. Nothing is stored or sent.
//
// Elements come from recording.html.jinja, data from recording_data.py. Every element with `data-t`, a click on a chart
// or strip, and the time bar seek in the recording (`LecturePulse.onTime`). Names and notes are only written as text.
"use strict";
LecturePulse.recording = (data) => {
  const { clock } = LecturePulse;
  const SVG = "http://www.w3.org/2000/svg";
  const LETTER = 0.6, ROOM = 2.2; // a letter's width by its size; how much wider than a face the room for its label is
  const place = document.querySelector("[data-recording]");
  const one = (name) => place.querySelector(`[data-${name}]`);
  const video = one("video"), boxes = one("boxes"), shown = one("boxes-shown"), warning = one("recording-warning");
  let url = null;
  let people = []; // {id, label, times, boxes}
  let drawn = null; // the group of the drawn boxes

  place.hidden = false;
  one("open").addEventListener("change", (event) => open(event.target.files[0]));
  video.addEventListener("loadedmetadata", check);
  video.addEventListener("error", () => { if (url) warn(cannotPlay()); });
  for (const name of ["timeupdate", "seeked", "loadeddata"]) video.addEventListener(name, follow);
  video.addEventListener("play", everyPicture);
  shown.addEventListener("change", draw);
  LecturePulse.onTime(seek);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-t], [data-go]");
    if (link && url) seek(Number(link.dataset.t ?? link.dataset.go));
  });

  function open(file) {
    if (!file) return;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(file);
    warn("");
    video.src = url;
    one("player").hidden = false;
    one("open-label").textContent = "Open another recording";
    one("stays").textContent = file.name;
    notes.reveal();
    document.body.classList.add("watching");
    dispatchEvent(new Event("resize")); // the charts are narrower now
  }

  function check() {
    if (!video.videoWidth) return warn(cannotPlay());
    const ratio = (video.videoWidth / video.videoHeight) / (data.width / data.height);
    const longer = video.duration - data.seconds;
    const problems = [];
    if (Number.isFinite(longer) && (longer < -data.slack || (data.over && longer > data.slack))) {
      problems.push(`It is ${clock(video.duration)} long, the lecture ${clock(data.seconds)}.`);
    }
    if (Math.abs(ratio - 1) > data.shape) {
      problems.push(`Its picture is ${video.videoWidth} by ${video.videoHeight} pixels, that of the lecture ${data.width} by ${data.height}.`);
    }
    warn(problems.length ? `This may be another recording. ${problems.join(" ")} Times and boxes may be wrong.` : "");
    boxes.setAttribute("viewBox", `0 0 ${video.videoWidth} ${video.videoHeight}`);
    follow();
  }

  function cannotPlay() {
    return "This browser cannot show this file. Try another browser, or convert the recording to an mp4 with H.264.";
  }

  function warn(text) {
    warning.textContent = text;
    warning.hidden = !text;
  }

  function seek(t) {
    if (url && Number.isFinite(t)) video.currentTime = Math.max(0, t);
  }

  // The line in the charts and the boxes follow the recording.
  function follow() {
    if (!url) return;
    LecturePulse.play(video.currentTime);
    draw();
    notes.follow();
  }

  function everyPicture() {
    if (video.paused) return;
    draw();
    requestAnimationFrame(everyPicture);
  }

  function draw() {
    drawn?.remove();
    drawn = null;
    if (!shown.checked || !url || !video.videoWidth) return;
    const t = video.currentTime;
    const across = video.videoWidth / data.width, down = video.videoHeight / data.height;
    const letter = Math.max(11, boxes.clientWidth / 60) * video.videoWidth / Math.max(1, boxes.clientWidth);
    drawn = document.createElementNS(SVG, "g");
    const seen = people.map(({ id, label, ...rest }) => ({ label, box: boxAt(rest, t), emotion: LecturePulse.shownAt(id, t) })).filter(({ box }) => box);
    const long = ({ label, emotion }) => `${label} ${emotion}`.trim();
    const roomy = seen.every((face) => long(face).length * letter * LETTER < ROOM * face.box[2] * across); // otherwise ids only
    for (const face of seen) {
      const [x, y, width, height] = [face.box[0] * across, face.box[1] * down, face.box[2] * across, face.box[3] * down];
      make("rect", { x, y, width, height, rx: letter / 4, class: face.emotion === "not readable" ? "unread" : "" });
      make("text", { x, y: Math.max(letter, y - letter / 3), "font-size": letter }).textContent = roomy ? long(face) : face.label;
    }
    boxes.append(drawn);
  }

  function make(tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    drawn.append(element);
    return element;
  }

  // The last box at or before `t`, if it is still shown.
  function boxAt({ times, boxes: all }, t) {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= t + 0.01) low = middle + 1;
      else high = middle;
    }
    return low && t - times[low - 1] <= data.boxes.stay ? all[low - 1] : null;
  }

  async function unpack() {
    const bytes = Uint8Array.from(atob(data.boxes.packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const view = new DataView(await new Response(stream).arrayBuffer());
    const total = data.boxes.people.reduce((sum, { count }) => sum + count, 0);
    let first = 0;
    people = data.boxes.people.map(({ id, name, count }) => {
      const times = [], columns = [[], [], [], []];
      const at = [0, 0, 0, 0];
      let ms = 0;
      for (let n = first; n < first + count; n += 1) {
        times.push((ms += view.getInt32(4 * n, true)) / 1000);
        columns.forEach((column, c) => column.push((at[c] += view.getInt16(4 * total + 2 * (c * total + n), true)) * data.boxes.unit));
      }
      first += count;
      return { id, label: name ?? id, times, boxes: times.map((_, n) => columns.map((column) => column[n])) };
    });
    one("show-boxes").hidden = false;
    shown.checked = true;
    draw();
  }

  const notes = LecturePulse.notes(place, data.lecture, () => (url ? video.currentTime : LecturePulse.time() ?? 0));
  if (data.boxes && "DecompressionStream" in globalThis) unpack();
};
