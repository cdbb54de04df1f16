// @ts-check
/**
 * Colours WGSL: keywords, types, numbers, comments.
 *
 * @module
 */
import { el } from "../../watch/page/dom.js";

const TOKENS =
  /(?<c>\/\/[^\n]*)|(?<n>\b\d[\w.]*)|(?<k>@\w+|\b(?:alias|break|case|const|continue|diagnostic|enable|else|fn|for|if|let|loop|override|requires|return|struct|switch|var|while)\b)|(?<t>\b(?:array|atomic|bool|f16|f32|i32|u32|mat\dx\d|ptr|storage|uniform|vec[234]|workgroup|read|read_write)\b)/g;

/** @param {string} text @returns {(Node | string)[]} */
export function highlight(text) {
  /** @type {(Node | string)[]} */
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    const [kind] = Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined) ?? ["c"];
    parts.push(el("span", { class: kind }, match[0]));
    at = match.index + match[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}
