// The report: one lecture, drawn once, with what lies in the page.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
LecturePulse.start(read("specs")).then(() => {
  LecturePulse.show(read("pictures"));
  document.querySelector("[data-until-drawn]").remove();
});
