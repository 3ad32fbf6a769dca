// Draws the report once, from the data in the page.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
LecturePulse.start(read("specs")).then(() => {
  const data = read("chart-data");
  LecturePulse.show(data);
  // The live page opens the report at the time that was chosen there.
  const [, chosen] = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash) ?? [];
  if (chosen) LecturePulse.go(Math.floor(Number(chosen) / data.step + 1e-6));
  document.querySelector("[data-until-drawn]").remove();
  LecturePulse.recording(read("recording-data"));
});

// The row of chapters or slides has the time axis of the chart above.
for (const row of document.querySelectorAll("[data-parts]")) {
  new ResizeObserver(() => LecturePulse.placeParts(row, Number(row.dataset.parts))).observe(row);
}
