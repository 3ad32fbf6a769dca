// Draws the report once, from the data in the page.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
LecturePulse.start(read("specs")).then(() => {
  LecturePulse.show(read("chart-data"));
  document.querySelector("[data-until-drawn]").remove();
  LecturePulse.recording(read("recording-data"));
});
