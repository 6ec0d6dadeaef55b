// The address behind `#`: `#only=write&prompt=Once&temperature=0.8` shows one part, begun with these.

// Where what is asked for is not there, or no number, what stands in its place.
export function readAddress(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return {
    only: given.get("only"),
    text: (name, none) => given.get(name) ?? none,
    number(name, none) {
      const text = given.get(name), number = Number(text);
      return text === null || text.trim() === "" || !Number.isFinite(number) || number < 0 ? none : number;
    },
  };
}

// Tells the page that holds this one in a frame how high it is, whenever that changes.
export function tellHeight() {
  if (window.parent === window) return;
  let told = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(document.documentElement.getBoundingClientRect().height);
    if (height === told) return;
    told = height;
    window.parent.postMessage({ glasslab: "height", height }, "*");
  }).observe(document.documentElement);
}
