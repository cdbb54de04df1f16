// @ts-check
/**
 * A labelled field of a form, with the server's objection below it.
 *
 * @module
 */
import { el, setText } from "./dom.js";

/**
 * @typedef {object} FieldOptions
 * @property {"text" | "whole" | "number" | "lines"} [kind] `lines`: several texts, one a line.
 * @property {readonly string[]} [choices] What can be chosen.
 * @property {string} [empty] Name of the choice that leaves the field out.
 * @property {string} [placeholder]
 * @property {string} [value] What it says at first.
 * @property {string} [hint]
 * @property {number} [min]
 */

let made = 0;

/** A field. */
export class Field {
  /** The element to show. */
  element;
  /** Name in the request. */
  name;
  #control;
  #kind;
  #wrong;

  /**
   * @param {string} name
   * @param {string} label
   * @param {FieldOptions} options
   */
  constructor(name, label, { kind = "text", choices, empty, placeholder, value, hint, min }) {
    this.name = name;
    this.#kind = kind;
    const id = `field-${++made}`;
    const facts = {
      id,
      name,
      placeholder,
      "aria-describedby": `${id}-hint ${id}-wrong`,
      autocomplete: "off",
    };
    if (choices) {
      this.#control = el("select", facts);
      if (empty !== undefined) this.#control.append(el("option", { value: "" }, empty));
      for (const choice of choices) {
        this.#control.append(el("option", { value: choice, selected: choice === value }, choice));
      }
    } else if (kind === "lines") this.#control = el("textarea", { ...facts, rows: "2" });
    else {
      const isNumber = kind !== "text";
      this.#control = el("input", {
        ...facts,
        type: isNumber ? "number" : "text",
        step: kind === "number" ? "any" : isNumber ? "1" : undefined,
        min,
        value,
        spellcheck: "false",
      });
    }
    this.#wrong = el("p", { class: "wrong", id: `${id}-wrong`, role: "alert" });
    this.element = el(
      "div",
      { class: "field" },
      el("label", { for: id }, label),
      this.#control,
      el("p", { class: "hint", id: `${id}-hint`, hidden: hint === undefined }, hint ?? ""),
      this.#wrong,
    );
  }

  /** What was entered, as the request wants it; undefined when nothing was. */
  value() {
    const { value } = this.#control;
    // What is no number at all is sent as it is: the server says what is wrong with it.
    if (this.#control instanceof HTMLInputElement && this.#control.validity.badInput) return "not a number";
    if (value.trim() === "") return undefined;
    if (this.#kind === "lines") return value.split("\n").filter((line) => line !== "");
    return this.#kind === "text" ? value : Number(value);
  }

  /** Says what is wrong with it; an empty text takes that back. @param {string} reason */
  refuse(reason) {
    setText(this.#wrong, reason);
    this.#control.setAttribute("aria-invalid", String(reason !== ""));
    if (reason !== "") this.#control.focus();
  }
}
