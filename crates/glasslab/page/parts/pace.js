// When work is done: once a frame at most, and never so long that the page stands still.

// Does the work at the next frame; what is asked for twice before that is done once.
export function latest(work) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      work();
    });
  };
}

// Calls step(seconds since the last frame) each frame until it gives false; what it gives back ends it.
export function eachFrame(step) {
  let asked = 0, before = performance.now();
  const frame = (now) => {
    const seconds = Math.max(0, (now - before) / 1000);
    before = now;
    asked = step(seconds) === false ? 0 : requestAnimationFrame(frame);
  };
  asked = requestAnimationFrame(frame);
  return () => cancelAnimationFrame(asked);
}

// Works in slices of some milliseconds until `step` gives false.
export function inSlices(step, milliseconds = 10) {
  return eachFrame(() => {
    const end = performance.now() + milliseconds;
    while (performance.now() < end) if (step() === false) return false;
    return true;
  });
}

// When the page has nothing else to do.
export function idle() {
  return new Promise((go) => (window.requestIdleCallback ? requestIdleCallback(() => go(), { timeout: 300 }) : setTimeout(go, 30)));
}

export function likesStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
