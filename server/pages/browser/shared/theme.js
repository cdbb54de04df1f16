// @ts-check
/**
 * Light or dark: as the system says, until the user says otherwise.
 *
 * @module
 */

const KEY = "sinter.theme";
const CHOICES = /** @type {const} */ (["auto", "light", "dark"]);
const NAMES = { auto: "Automatic colours", light: "Light colours", dark: "Dark colours" };
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

/** Makes a button walk through the choices. @param {HTMLButtonElement} button */
export function themeSwitch(button) {
  const show = () => {
    const theme = chosen();
    button.textContent = SIGNS[theme];
    button.title = `${NAMES[theme]}; click to change`;
    button.setAttribute("aria-label", NAMES[theme]);
  };
  button.addEventListener("click", () => {
    const next = CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length];
    if (next === "auto") {
      localStorage.removeItem(KEY);
      delete document.documentElement.dataset.theme;
    } else {
      localStorage.setItem(KEY, next);
      document.documentElement.dataset.theme = next;
    }
    show();
    document.dispatchEvent(new Event("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("themechange"));
  });
  show();
}

/** A colour of the style sheet as canvases take it. @param {string} name Custom property, such as `--accent`. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** @returns {typeof CHOICES[number]} */
function chosen() {
  const theme = document.documentElement.dataset.theme;
  return theme === "light" || theme === "dark" ? theme : "auto";
}
