// @ts-check
/**
 * The choice of a model.
 *
 * @module
 */
import { named } from "../shared/address.js";
import { callJson } from "../shared/api.js";
import { el } from "../shared/dom.js";

/**
 * Fills the choice with the server's models; the address may name one after `#`.
 *
 * @param {HTMLSelectElement} select
 * @returns {Promise<boolean>} False when there is none.
 */
export async function readModels(select) {
  const chosen = select.value || named("model");
  const { data } = await callJson("/v1/models");
  select.replaceChildren(
    ...data.map((/** @type {{id: string}} */ { id }) =>
      el("option", { value: id, selected: id === chosen }, id)
    ),
  );
  return data.length > 0;
}
