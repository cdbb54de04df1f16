// @ts-check
/**
 * WGSL in colours: comments, numbers, keywords, types, attributes and calls.
 *
 * @module
 */
import { el } from "../shared/dom.js";

const TOKENS = new RegExp(
  [
    /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)/,
    /(?<attribute>@\w+)/,
    /(?<number>\b(?:0[xX][\da-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)[iufh]?\b)/,
    /(?<keyword>\b(?:alias|break|case|const|const_assert|continue|continuing|default|diagnostic|discard|else|enable|false|fn|for|if|let|loop|override|requires|return|struct|switch|true|var|while)\b)/,
    /(?<type>\b(?:array|atomic|bool|f16|f32|i32|u32|(?:vec|mat)[234]\w*|ptr|storage|uniform|workgroup|private|function|read|read_write|write)\b)/,
    /(?<call>\b[a-zA-Z_]\w*(?=\s*\())/,
  ].map(({ source }) => source).join("|"),
  "g",
);

/**
 * The text with its colours.
 *
 * @param {string} text
 * @returns {HTMLPreElement}
 */
export function wgslCode(text) {
  const pre = el("pre", { class: "code", tabindex: "0" });
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > end) pre.append(text.slice(end, match.index));
    const [kind] = Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined) ?? [""];
    pre.append(el("span", { class: `c-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}
