/**
 * Shows `/openapi.json` for people: operations by part, each with its parameters, body and responses. Text out of the
 * document becomes text nodes only, never markup.
 *
 * @module
 */

/** An element with attributes and children; strings become text. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}

/** Markdown's code spans and paragraphs, which is all that descriptions use. */
function prose(text = "", attributes = {}) {
  return text.split(/\n{2,}/).filter((part) => part !== "").map((part) =>
    element(
      "p",
      attributes,
      ...part.split("`").map((piece, index) => index % 2 ? element("code", {}, piece) : piece),
    )
  );
}

/** The schema that a reference names, or the schema itself. */
function resolved(schema, api) {
  const name = schema?.$ref?.split("/").at(-1);
  return name ? { title: name, ...api.components.schemas[name] } : schema ?? {};
}

/** A schema's type in a few words. */
function typeOf(schema, api) {
  const { type, items, anyOf, oneOf, enum: values, const: value, title, additionalProperties } = resolved(
    schema,
    api,
  );
  if (value !== undefined) return JSON.stringify(value);
  if (values) return values.map((one) => JSON.stringify(one)).join(" | ");
  const several = anyOf ?? oneOf;
  if (several) return several.map((one) => typeOf(one, api)).join(" | ");
  if (type === "array") return `${typeOf(items, api)}[]`;
  if (title) return title;
  if (type === "object" && additionalProperties) return "map";
  return [type ?? "any"].flat().join(" | ");
}

/** What a value must keep to. */
function bounds(
  {
    minimum,
    maximum,
    exclusiveMinimum,
    exclusiveMaximum,
    minLength,
    maxLength,
    minItems,
    maxItems,
    pattern,
    default: preset,
  },
) {
  const facts = [
    minimum !== undefined && `at least ${minimum}`,
    exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
    maximum !== undefined && `at most ${maximum}`,
    exclusiveMaximum !== undefined && `below ${exclusiveMaximum}`,
    minLength !== undefined && `${minLength} characters or more`,
    maxLength !== undefined && `at most ${maxLength} characters`,
    minItems !== undefined && `${minItems} items or more`,
    maxItems !== undefined && `at most ${maxItems} items`,
    pattern !== undefined && `matches ${pattern}`,
    preset !== undefined && `default ${JSON.stringify(preset)}`,
  ];
  return facts.filter(Boolean).join(", ");
}

/** One field: name, type, bounds, description, and its own fields. */
function field(name, schema, isRequired, api, depth) {
  const whole = resolved(schema, api);
  const facts = [typeOf(schema, api), isRequired ? "required" : "", bounds(whole)].filter(Boolean).join(", ");
  const inner = whole.type === "array" ? whole.items : schema;
  return [
    element("dt", {}, element("code", {}, name), " ", element("span", { class: "quiet" }, facts)),
    element("dd", {}, ...prose(schema.description ?? whole.description), fields(inner, api, depth + 1)),
  ];
}

/** The fields of an object, as a list; nothing for other types. */
function fields(schema, api, depth = 0) {
  const whole = resolved(schema, api);
  if (depth > 4) return undefined;
  const several = whole.anyOf ?? whole.oneOf;
  if (several) return element("div", {}, ...several.map((one) => fields(one, api, depth)).filter(Boolean));
  if (!whole.properties) return undefined;
  const rows = Object.entries(whole.properties).flatMap(([name, inner]) =>
    field(name, inner, whole.required?.includes(name), api, depth)
  );
  return element("dl", {}, ...rows);
}

/** The bodies of a request or response, by media type. */
function contents(content, api) {
  return Object.entries(content ?? {}).map(([media, { schema }]) =>
    element(
      "div",
      {},
      element("p", {}, element("code", {}, media), ` ${typeOf(schema, api)}`),
      fields(schema, api),
    )
  );
}

/** A command that calls the operation. */
function curl(method, path, operation) {
  const body = operation.requestBody ? ` \\\n  -H 'Content-Type: application/json' -d '{…}'` : "";
  const token = operation.security ? ` \\\n  -H "Authorization: Bearer $TOKEN"` : "";
  const verb = method === "get" ? "" : `-X ${method.toUpperCase()} `;
  return `curl ${verb}${location.origin}${path}${token}${body}`;
}

/** One operation, folded. */
function operationView(method, path, operation, api) {
  const { summary = "", description, parameters = [], requestBody, responses = {}, security = [] } =
    operation;
  const tokens = security.flatMap((one) => Object.keys(one));
  const body = element("div", {}, ...prose(description));
  if (tokens.length > 0) {
    const name = tokens.includes("admin") ? "SINTER_ADMIN_TOKEN" : "SINTER_TOKEN";
    body.append(element("p", { class: "quiet" }, `Needs ${name}, where the server has tokens.`));
  }
  body.append(element("pre", {}, curl(method, path, operation)));
  if (parameters.length > 0) {
    const rows = parameters.flatMap((one) =>
      field(
        `${one.name} (${one.in})`,
        { ...one.schema, description: one.description ?? one.schema?.description },
        one.required,
        api,
        0,
      )
    );
    body.append(element("h3", {}, "Parameters"), element("dl", {}, ...rows));
  }
  if (requestBody) body.append(element("h3", {}, "Body"), ...contents(requestBody.content, api));
  for (const [status, response] of Object.entries(responses)) {
    body.append(
      element("h3", {}, `${status} ${response.description ?? ""}`),
      ...contents(response.content, api),
    );
  }
  const head = element(
    "summary",
    {},
    element("span", { class: "method" }, method.toUpperCase()),
    element("code", {}, path),
    element("span", { class: "quiet" }, summary),
  );
  const view = element("details", { id: `${method}-${path}` }, head, body);
  view.dataset.text = `${method} ${path} ${summary} ${description ?? ""}`.toLowerCase();
  return view;
}

/** The whole document, by tag. */
function documentView(api) {
  const tags = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? "other";
      tags.set(tag, [...tags.get(tag) ?? [], operationView(method, path, operation, api)]);
    }
  }
  const sections = [...tags].map(([tag, views]) =>
    element("section", {}, element("h2", {}, tag[0].toUpperCase() + tag.slice(1)), ...views)
  );
  return [...prose(api.info.description), ...sections];
}

/** Shows the operations that have the text. */
function filter(text) {
  const wanted = text.trim().toLowerCase();
  for (const view of document.querySelectorAll("details")) view.hidden = !view.dataset.text.includes(wanted);
  for (const section of document.querySelectorAll("section")) {
    section.hidden = section.querySelector("details:not([hidden])") === null;
  }
}

const main = document.getElementById("reference");
try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  main.replaceChildren(...documentView(await response.json()));
  const chosen = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (chosen) chosen.open = true;
} catch (problem) {
  main.replaceChildren(element("p", { role: "alert" }, `openapi.json cannot be shown: ${problem.message}`));
}
document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
