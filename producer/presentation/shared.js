// Adds to LecturePulse, which has the thresholds of thresholds.py: tones as [share, opacity].
"use strict";
Object.assign(LecturePulse, {
  clock(seconds) {
    const whole = Math.max(0, Math.floor(seconds + 1e-6));
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  },

  // Seconds since 1970, as `date` in clock.py.
  date(seconds) {
    const then = new Date(1000 * seconds), two = (n) => String(n).padStart(2, "0");
    return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())} ${two(then.getHours())}:${two(then.getMinutes())}`;
  },

  // A share, rounded as Python's :.0% does.
  percent(share) {
    const exact = 100 * share;
    return `${exact % 1 === 0.5 ? 2 * Math.round(exact / 2) : Math.round(exact)}%`;
  },

  signed(value) {
    return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
  },

  // Draw where somebody sat: the outline of the picture, and in it the tile, in percent of the picture's width.
  drawMap(svg, x, y, width, height, whole, words) {
    const make = (kind) => svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", kind));
    if (svg.dataset.shown === [x, y, width, height, words].join()) return;
    svg.dataset.shown = [x, y, width, height, words].join();
    for (const [name, value] of Object.entries({ class: "map", viewBox: `0 0 100 ${whole}`, role: "img", "aria-label": words })) svg.setAttribute(name, value);
    svg.replaceChildren();
    make("title").textContent = words;
    for (const [name, ...places] of [["frame", 0, 0, 100, whole], ["tile", x, y, width, height]]) {
      const box = make("rect");
      box.setAttribute("class", name);
      ["x", "y", "width", "height"].forEach((each, n) => box.setAttribute(each, places[n]));
    }
  },

  // Place chapters or slides on the time axis of the chart above, which has so many seconds. The text of one that is too
  // narrow is left out: the beginning of a number is another number.
  placeParts(row, seconds) {
    row.classList.add("placed");
    for (const part of row.children) {
      const link = part.firstElementChild, t = Number(link.dataset.t);
      part.style.left = `${(100 * t) / seconds}%`;
      part.style.width = `${(100 * (Number(part.dataset.end) - t)) / seconds}%`;
    }
    for (const { firstElementChild: link } of row.children) {
      link.classList.remove("narrow");
      link.classList.toggle("narrow", /^\d/.test(link.textContent) && link.scrollWidth > link.clientWidth + 1);
    }
  },

  // The place in `tones` of the tone for a share.
  toneOf(share) {
    return LecturePulse.tones.filter(([from]) => share >= from).length - 1;
  },
});
