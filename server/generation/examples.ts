/**
 * Requests and answers as the reference shows them. Tests send the requests and hold the answers against the schemas, so
 * what is shown works.
 *
 * @module
 */

/** To `POST /generate`. */
export const GENERATE_EXAMPLES = {
  text: {
    summary: "Text in one answer",
    value: { prompt: "Call me", maxTokens: 32, temperature: 0.8, topP: 0.95, seed: 7 },
  },
  stream: {
    summary: "Token by token, two continuations, until the line ends",
    value: { prompt: "Call me", maxTokens: 32, n: 2, stop: "\n", stream: true },
  },
  scores: {
    summary: "How likely the model thinks a text is: nothing is drawn",
    value: { prompt: "Call me Ishmael.", maxTokens: 0, echo: true, logprobs: 2 },
  },
} as const;

/** From `POST /generate`. */
export const GENERATED_EXAMPLE = {
  model: "first",
  seed: 7,
  choices: [{ index: 0, text: " Ishmael.", finishReason: "stop" }],
  usage: { promptTokens: 2, completionTokens: 4, totalTokens: 6 },
  firstTokenMs: 38.2,
} as const;

/** From `POST /generate` with `stream`. */
export const GENERATED_STREAM_EXAMPLE = `event: token
data: {"index":0,"text":" Ish","token":24555}

event: token
data: {"index":0,"text":"mael.","token":23}

event: finish
data: {"index":0,"finishReason":"length"}

event: end
data: {"model":"first","seed":7,"usage":{"promptTokens":2,"completionTokens":2,"totalTokens":4},"firstTokenMs":38.2}

`;

/** To `POST /v1/completions`. */
export const COMPLETION_EXAMPLES = {
  text: {
    summary: "Text in one answer",
    value: { model: "first", prompt: "Call me", max_tokens: 32, temperature: 0.8, seed: 7 },
  },
  stream: {
    summary: "In chunks, the usage in the last one",
    value: { model: "first", prompt: "Call me", stream: true, stream_options: { include_usage: true } },
  },
  several: {
    summary: "Several prompts, two continuations of each",
    value: { model: "first", prompt: ["Call me", "The whale"], n: 2, logprobs: 1 },
  },
} as const;

/** From `POST /v1/completions`. */
export const COMPLETION_EXAMPLE = {
  id: "cmpl-4b191996536248739841d9e69955fd7e",
  object: "text_completion",
  created: 1_767_225_600,
  model: "first",
  choices: [{ index: 0, text: " Ishmael.", logprobs: null, finish_reason: "stop" }],
  usage: { prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 },
} as const;

/** From `POST /v1/completions` with `stream`. */
export const COMPLETION_STREAM_EXAMPLE =
  `data: {"id":"cmpl-4b19","object":"text_completion","created":1767225600,"model":"first",\
"choices":[{"index":0,"text":" Ish","logprobs":null,"finish_reason":null}]}

data: {"id":"cmpl-4b19","object":"text_completion","created":1767225600,"model":"first",\
"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}]}

data: [DONE]

`;

/** A refusal. */
export const REFUSAL_EXAMPLE = {
  error: {
    message: "maxTokens: Too small: expected number to be >=0",
    type: "invalid_request_error",
    code: "invalid_value",
    param: "maxTokens",
  },
} as const;
