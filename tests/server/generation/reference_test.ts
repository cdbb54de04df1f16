/** What the reference says of requests for text is what happens. */
import { assertEquals } from "@std/assert";
import {
  COMPLETION_EXAMPLE,
  COMPLETION_EXAMPLES,
  GENERATE_EXAMPLES,
  GENERATED_EXAMPLE,
  REFUSAL_EXAMPLE,
} from "../../../server/generation/examples.ts";
import { completionAnswerSchema } from "../../../server/generation/openai_schemas.ts";
import { generatedSchema } from "../../../server/generation/schemas.ts";
import { errorOf, post, testApp } from "../support.ts";

Deno.test("requests of the reference are answered, in the form that it states", async () => {
  const { app } = testApp();
  const routes = [
    ["/generate", GENERATE_EXAMPLES, generatedSchema.strict()],
    ["/v1/completions", COMPLETION_EXAMPLES, completionAnswerSchema.strict()],
  ] as const;
  for (const [path, examples, schema] of routes) {
    for (const { summary, value } of Object.values(examples)) {
      const response = await app.request(path, post(value));
      assertEquals(response.status, 200, `${path}: ${summary}`);
      if ("stream" in value) await response.text();
      else schema.parse(await response.json());
    }
  }
});

Deno.test("answers of the reference have the form that it states", () => {
  generatedSchema.strict().parse(GENERATED_EXAMPLE);
  completionAnswerSchema.strict().parse(COMPLETION_EXAMPLE);
});

Deno.test("the refusal of the reference is word for word what such a request gets", async () => {
  const response = await testApp().app.request("/generate", post({ prompt: "x", maxTokens: -1 }));
  assertEquals(await errorOf(response, 400), { ...REFUSAL_EXAMPLE.error });
});
