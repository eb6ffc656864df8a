// An app on the Vercel AI SDK, by each of its providers that speaks to the gateway.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import {
  CLAUDE,
  EMBEDS,
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

// docs: compatible
const compatible = createOpenAICompatible({
  name: "gateway",
  baseURL: `${URL}/v1`,
  apiKey: KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
// docs: end
// docs: openai
const openai = createOpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
// docs: end
// docs: anthropic
const anthropic = createAnthropic({ baseURL: `${URL}/v1`, apiKey: KEY });
// docs: end
const providers = { compatible, chat: (id) => openai.chat(id), responses: openai, anthropic };
const Place = z.object({ kind: z.enum(["city", "country"]), size: z.enum(["small", "large"]) });
const City = z.object({ city: z.enum(["Paris", "Rome"]) });
const get_weather = tool({
  description: "The weather of a city, now.",
  inputSchema: City,
  execute: ({ city }) => `18 degrees in ${city}`,
});

for (const [name, provider] of Object.entries(providers)) {
  const vendor = name === "anthropic" ? CLAUDE : VENDOR;
  const asked = (id, fields = {}) => ({
    model: provider(id),
    prompt: QUESTION,
    maxOutputTokens: 60,
    maxRetries: 0,
    ...fields,
  });

  for (const id of cases([LOCAL, vendor])) {
    test(`generateText, ${name}, ${id}`, async () => {
      const { text, finishReason, usage } = await generateText(asked(id));
      assert.ok(text);
      assert.ok(["stop", "length"].includes(finishReason));
      assert.ok(usage.outputTokens > 0);
    });

    test(`streamText, ${name}, ${id}`, async () => {
      const heard = [];
      const result = streamText(asked(id));
      for await (const part of result.textStream) heard.push(part);
      assert.equal(await result.text, heard.join(""));
      assert.ok(heard.length > 1);
      assert.ok((await result.usage).outputTokens > 0);
    });

    test(`a tool, ${name}, ${id}`, async () => {
      const toolChoice = { type: "tool", toolName: "get_weather" };
      const { toolResults } = await generateText(
        asked(id, { tools: { get_weather }, toolChoice }),
      );
      assert.match(toolResults[0].output, /^18 degrees in (Paris|Rome)$/);
      const result = streamText(asked(id, { tools: { get_weather }, toolChoice }));
      assert.match((await result.toolResults)[0].output, /^18 degrees in (Paris|Rome)$/);
    });

    test(`an object by zod, ${name}, ${id}`, async () => {
      const output = Output.object({ schema: Place });
      const result = await generateText(asked(id, { output, maxOutputTokens: 100 }));
      assert.ok(Place.parse(result.output));
      const streamed = streamText(asked(id, { output, maxOutputTokens: 100 }));
      assert.ok(Place.parse(await streamed.output));
    });
  }

  test(`tools in steps, ${name}`, async () => {
    const { steps, text } = await generateText(
      asked(vendor, { tools: { get_weather }, stopWhen: stepCountIs(3) }),
    );
    assert.equal(steps.length, 2);
    assert.equal(steps[0].finishReason, "tool-calls");
    assert.ok(text);
  });

  // The Responses API has no stop.
  test(`a stop, ${name}`, { skip: name === "responses" }, async () => {
    const { text, finishReason } = await generateText(
      asked(LOCAL, { stopSequences: ["a"], temperature: 0 }),
    );
    assert.ok(!text.includes("a"));
    assert.equal(finishReason, "stop");
  });

  for (const id of cases(UNNOTICED)) {
    test(`failover goes unnoticed, ${name}, ${id}`, async () => {
      assert.ok((await generateText(asked(id))).text);
      const result = streamText(asked(id));
      assert.ok(await result.text);
      assert.ok(["stop", "length"].includes(await result.finishReason));
    });
  }

  test(`errors, ${name}`, async () => {
    const told = (id, status, words, fields) =>
      assert.rejects(generateText(asked(id, fields)), (error) => {
        assert.ok(APICallError.isInstance(error), error);
        assert.match(error.message, words);
        return error.statusCode === status;
      });
    await told(UNKNOWN, 404, /no-such-model/);
    await told(ONLY_BANNED, 451, /directive 12/);
    await told(LOCAL, 400, /top_p/, { topP: 9 });
  });
}

for (const id of cases([LOCAL, EMBEDS])) {
  for (const provider of cases([compatible.embeddingModel, openai.embeddingModel])) {
    test(`embedMany, ${id}`, async () => {
      const { embeddings } = await embedMany({ model: provider(id), values: ["Paris", "London"] });
      assert.notDeepEqual(embeddings[0], embeddings[1]);
    });
  }
}

for (const id of cases([LOCAL, VENDOR])) {
  test(`completions, ${id}`, async () => {
    const model = compatible.completionModel(id);
    const asked = { model, prompt: "Paris is", maxOutputTokens: 8, maxRetries: 0 };
    assert.ok((await generateText(asked)).text);
    assert.ok(await streamText(asked).text);
  });
}
