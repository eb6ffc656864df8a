// An app on the official `openai` package for Node.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import {
  CHATS,
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

// docs: client
const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
// docs: end
const messages = [{ role: "user", content: QUESTION }];
const Place = z.object({ kind: z.enum(["city", "country"]), size: z.enum(["small", "large"]) });
const City = z.object({ city: z.enum(["Paris", "Rome"]) });
const weather = zodFunction({
  name: "get_weather",
  parameters: City,
  function: ({ city }) => `18 degrees in ${city}`,
});

for (const model of cases([LOCAL, VENDOR])) {
  test(`plain, ${model}`, async () => {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 16 });
    assert.ok(answer.choices[0].message.content);
    assert.ok(["stop", "length"].includes(answer.choices[0].finish_reason));
    assert.ok(answer.usage.completion_tokens > 0);
  });

  test(`streamed, ${model}`, async () => {
    const chunks = [];
    const stream = await client.chat.completions.create({
      model,
      messages,
      max_tokens: 16,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) chunks.push(chunk);
    assert.ok(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""));
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  });

  test(`the streaming helper, ${model}`, async () => {
    const heard = [];
    const stream = client.chat.completions
      .stream({ model, messages, max_tokens: 100, temperature: 0 })
      .on("content", (delta) => heard.push(delta));
    assert.equal(await stream.finalContent(), heard.join(""));
  });

  test(`a tool, ${model}`, async () => {
    const stream = client.chat.completions.stream({
      model,
      messages,
      tools: [weather],
      tool_choice: { type: "function", function: { name: "get_weather" } },
      max_tokens: 100,
    });
    const { choices } = await stream.finalChatCompletion();
    const [call] = choices[0].message.tool_calls;
    assert.equal(call.function.name, "get_weather");
    assert.ok(City.parse(call.function.parsed_arguments));
    const after = await client.chat.completions.create({
      model,
      messages: [
        ...messages,
        { role: "assistant", content: null, tool_calls: choices[0].message.tool_calls },
        { role: "tool", tool_call_id: call.id, content: "18 degrees" },
      ],
      max_tokens: 16,
    });
    assert.ok(after.choices[0].message.content);
  });

  test(`a schema by zod, ${model}`, async () => {
    const answer = await client.chat.completions.parse({
      model,
      messages,
      response_format: zodResponseFormat(Place, "place"),
      max_tokens: 100,
    });
    assert.ok(Place.parse(answer.choices[0].message.parsed));
  });
}

for (const stream of cases([false, true])) {
  test(`tools are run, ${stream ? "streamed" : "plain"}`, async () => {
    const runner = client.chat.completions.runTools({
      model: VENDOR,
      messages,
      tools: [weather],
      stream,
    });
    const results = [];
    runner.on("functionToolCallResult", (result) => results.push(result));
    assert.ok(await runner.finalContent());
    assert.deepEqual(results, ["18 degrees in Paris"]);
  });
}

for (const model of cases(UNNOTICED)) {
  test(`failover goes unnoticed, ${model}`, async () => {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 16 });
    assert.ok(answer.choices[0].message.content);
    const stream = client.chat.completions.stream({ model, messages, max_tokens: 100 });
    assert.ok(await stream.finalContent());
  });
}

for (const model of cases([LOCAL, VENDOR, CHATS])) {
  test(`responses, ${model}`, async () => {
    const first = await client.responses.create({
      model,
      input: QUESTION,
      max_output_tokens: 16,
    });
    assert.ok(first.output_text);
    const after = await client.responses.create({
      model,
      input: "Say it again.",
      previous_response_id: first.id,
      max_output_tokens: 16,
    });
    assert.ok(after.output_text);
    assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
  });

  test(`responses streamed, ${model}`, async () => {
    const kinds = [];
    const stream = client.responses
      .stream({ model, input: QUESTION, temperature: 0 })
      .on("event", (event) => kinds.push(event.type));
    assert.ok((await stream.finalResponse()).output_text);
    assert.equal(kinds[0], "response.created");
    assert.equal(kinds.at(-1), "response.completed");
  });

  test(`responses by zod, ${model}`, async () => {
    const parsed = await client.responses.parse({
      model,
      input: QUESTION,
      text: { format: zodTextFormat(Place, "place") },
    });
    assert.ok(Place.parse(parsed.output_parsed));
    const called = await client.responses.parse({
      model,
      input: QUESTION,
      tools: [zodResponsesFunction({ name: "get_weather", parameters: City })],
      tool_choice: { type: "function", name: "get_weather" },
    });
    const call = called.output.find((item) => item.type === "function_call");
    assert.ok(City.parse(call.parsed_arguments));
  });
}

for (const model of cases([LOCAL, EMBEDS])) {
  test(`embeddings, ${model}`, async () => {
    const answer = await client.embeddings.create({ model, input: ["Paris", "London"] });
    const [first, second] = answer.data.map((row) => row.embedding);
    assert.notDeepEqual(first, second);
  });
}

for (const model of cases([LOCAL, VENDOR])) {
  test(`completions, ${model}`, async () => {
    const asked = { model, prompt: "Paris is", max_tokens: 8 };
    assert.ok((await client.completions.create(asked)).choices[0].text);
    const parts = [];
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
      parts.push(chunk.choices[0]?.text ?? "");
    }
    assert.ok(parts.join(""));
  });
}

test("errors are the package's own", async () => {
  const ask = (model, fields = {}) => client.chat.completions.create({ model, messages, ...fields });
  await assert.rejects(ask(UNKNOWN), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    return error.code === "model_not_found";
  });
  await assert.rejects(ask(ONLY_BANNED), (error) => {
    assert.ok(error instanceof OpenAI.APIError);
    assert.match(error.message, /directive 12/);
    return error.status === 451 && error.code === "vendor_blocked";
  });
  await assert.rejects(ask(LOCAL, { temperature: 9 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    return error.param === "temperature";
  });
});

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(LOCAL));
});
