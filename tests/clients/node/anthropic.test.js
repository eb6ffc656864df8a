// An app on the official `@anthropic-ai/sdk` package.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import {
  CLAUDE,
  KEY,
  LOCAL,
  ONLY_BANNED,
  QUESTION,
  UNKNOWN,
  UNNOTICED,
  URL,
  VENDOR,
  cases,
} from "./setting.js";

// docs: client
const client = new Anthropic({ baseURL: URL, apiKey: KEY });
// docs: end
const messages = [{ role: "user", content: QUESTION }];
const Place = z.object({ kind: z.enum(["city", "country"]), size: z.enum(["small", "large"]) });
const weather = {
  name: "get_weather",
  input_schema: {
    type: "object",
    properties: { city: { enum: ["Paris", "Rome"] } },
    required: ["city"],
  },
};
const run = betaZodTool({
  name: "get_weather",
  description: "The weather of a city, now.",
  inputSchema: z.object({ city: z.string() }),
  run: ({ city }) => `18 degrees in ${city}`,
});

for (const model of cases([LOCAL, CLAUDE, VENDOR])) {
  test(`plain, ${model}`, async () => {
    const message = await client.messages.create({
      model,
      max_tokens: 16,
      system: "Be brief.",
      messages,
    });
    assert.ok(message.content[0].text);
    assert.ok(["end_turn", "max_tokens"].includes(message.stop_reason));
    assert.ok(message.usage.output_tokens > 0);
  });

  test(`the streaming helper, ${model}`, async () => {
    const heard = [];
    const stream = client.messages
      .stream({ model, max_tokens: 16, messages })
      .on("text", (delta) => heard.push(delta));
    assert.equal(await stream.finalText(), heard.join(""));
    assert.ok((await stream.finalMessage()).usage.output_tokens > 0);
  });

  test(`a tool, ${model}`, async () => {
    const stream = client.messages.stream({
      model,
      max_tokens: 60,
      messages,
      tools: [weather],
      tool_choice: { type: "tool", name: "get_weather" },
    });
    const message = await stream.finalMessage();
    const [call] = message.content;
    assert.equal(message.stop_reason, "tool_use");
    assert.deepEqual(Object.keys(call.input), ["city"]);
    const result = { type: "tool_result", tool_use_id: call.id, content: "18 degrees" };
    const after = await client.messages.create({
      model,
      max_tokens: 16,
      messages: [
        ...messages,
        { role: "assistant", content: message.content },
        { role: "user", content: [result] },
      ],
      tools: [weather],
      tool_choice: { type: "none" },
    });
    assert.equal(after.content[0].type, "text");
  });

  test(`a schema by zod, ${model}`, async () => {
    const message = await client.messages.parse({
      model,
      max_tokens: 100,
      messages,
      output_config: { format: zodOutputFormat(Place) },
    });
    assert.ok(Place.parse(message.parsed_output));
  });
}

for (const model of cases([CLAUDE, VENDOR])) {
  test(`tools are run, ${model}`, async () => {
    const reasons = [];
    const runner = client.beta.messages.toolRunner({
      model,
      max_tokens: 60,
      messages,
      tools: [run],
    });
    for await (const message of runner) reasons.push(message.stop_reason);
    assert.deepEqual(reasons, ["tool_use", "end_turn"]);
  });
}

test("tokens are counted", async () => {
  for (const model of cases([LOCAL, CLAUDE])) {
    assert.ok((await client.messages.countTokens({ model, messages })).input_tokens > 5);
  }
});

for (const model of cases(UNNOTICED)) {
  test(`failover goes unnoticed, ${model}`, async () => {
    const message = await client.messages.create({ model, max_tokens: 16, messages });
    assert.ok(message.content[0].text);
    const stream = client.messages.stream({ model, max_tokens: 16, messages });
    assert.ok(await stream.finalText());
  });
}

test("errors are the package's own", async () => {
  const ask = (model, fields = {}) =>
    client.messages.create({ model, max_tokens: 8, messages, ...fields });
  await assert.rejects(ask(UNKNOWN), (error) => {
    assert.ok(error instanceof Anthropic.NotFoundError);
    return error.type === "not_found_error";
  });
  await assert.rejects(ask(ONLY_BANNED), (error) => {
    assert.ok(error instanceof Anthropic.APIError);
    assert.match(error.message, /directive 12/);
    return error.status === 451 && error.type === "permission_error";
  });
  await assert.rejects(ask(LOCAL, { max_tokens: -1 }), (error) => {
    assert.match(error.message, /max_tokens/);
    return error instanceof Anthropic.BadRequestError;
  });
});

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(LOCAL));
});
