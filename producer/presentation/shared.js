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

  // The place in `tones` of the tone for a share.
  toneOf(share) {
    return LecturePulse.tones.filter(([from]) => share >= from).length - 1;
  },
});
