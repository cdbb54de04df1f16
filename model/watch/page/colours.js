// @ts-check
/**
 * Colours of the style sheet as canvases take them, for the theme that is shown.
 *
 * @module
 */

const CHOICES = /** @type {const} */ (["auto", "light", "dark"]);
const NAMES = { auto: "Automatic colours", light: "Light colours", dark: "Dark colours" };
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

/** @typedef {{ ramp: Uint32Array, of: (name: string) => string }} Colours */

/** Reads the colours anew. @returns {Colours} */
export function readColours() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  /** @param {string} name */
  const of = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const stops = [0, 1, 2, 3, 4].map((i) => channels(of(`map-${i}`)));
  const named = Object.fromEntries(
    ["text", "quiet", "line", "edge", "accent", "panel"].map((name) => [name, of(name)]),
  );
  probe.remove();
  return { ramp: rampOf(stops), of: (name) => named[name] };
}

/** 256 colours as ImageData takes them, one for each byte. @param {readonly (readonly number[])[]} stops */
function rampOf(stops) {
  const bytes = new Uint8Array(4 * 256);
  for (let i = 0; i < 256; i++) {
    const place = i / 255 * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place));
    const share = place - low;
    for (let c = 0; c < 3; c++) {
      bytes[4 * i + c] = Math.round(stops[low][c] * (1 - share) + stops[low + 1][c] * share);
    }
    bytes[4 * i + 3] = 255;
  }
  return new Uint32Array(bytes.buffer);
}

/** Red, green and blue of a colour. @param {string} colour */
function channels(colour) {
  return (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
}

/**
 * Makes a button walk through the themes.
 *
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange Called also when the system changes its mind.
 */
export function themeSwitch(button, onChange) {
  let at = 0;
  const show = () => {
    const choice = CHOICES[at];
    button.textContent = SIGNS[choice];
    button.title = `${NAMES[choice]}; click to change`;
    button.setAttribute("aria-label", NAMES[choice]);
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  };
  button.addEventListener("click", () => {
    at = (at + 1) % CHOICES.length;
    show();
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  show();
}
