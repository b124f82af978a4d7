// OpenAI's own JavaScript SDK, with nothing changed but the base URL and the key (HYPEREAL_BASE_URL, HYPEREAL_API_KEY).

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const MODEL = "gpt-5";
const client = new OpenAI({
  baseURL: process.env.HYPEREAL_BASE_URL,
  apiKey: process.env.HYPEREAL_API_KEY,
  maxRetries: 0,
});
const ask = (content) => [{ role: "user", content }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

test("a chat completion", async () => {
  const completion = await client.chat.completions.create({ model: MODEL, messages: ask("What is 2 + 3?") });
  assert.match(completion.choices[0].message.content, /5/);
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.ok(completion.usage.total_tokens > 0);
});

test("the headers say what it cost", async () => {
  const { response } = await client.chat.completions.create({ model: MODEL, messages: ask("Hi") }).withResponse();
  assert.ok(Number(response.headers.get("x-hypereal-credits")) > 0);
  assert.ok(response.headers.get("x-request-id"));
});

test("a stream gives the same text as a whole answer and ends with usage", async () => {
  const messages = ask("Name three colours.");
  const whole = await client.chat.completions.create({ model: MODEL, messages });
  let text = "";
  let usage;
  for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.ok(usage.completion_tokens > 0);
});

test("a stream can be left early", async () => {
  const stream = await client.chat.completions.create({ model: MODEL, messages: ask("Count to fifty"), stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  assert.ok(stream.controller.signal.aborted);
});

test("a tool is called and its result is used", async () => {
  const messages = ask("What is the weather in Paris?");
  const first = await client.chat.completions.create({ model: MODEL, messages, tools: [weather] });
  const [call] = first.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
  messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "Sunny, 21 degrees" });
  const second = await client.chat.completions.create({ model: MODEL, messages, tools: [weather] });
  assert.match(second.choices[0].message.content, /21/);
});

test("the tool runner goes round by itself", async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages: ask("What is the weather in Paris?"),
    tools: [
      {
        type: "function",
        function: {
          ...weather.function,
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return "Sunny, 21 degrees";
          },
        },
      },
    ],
  });
  assert.match(await runner.finalContent(), /21/);
  assert.deepEqual(asked, ["Paris"]);
});

test("a JSON schema is kept", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" }, kind: { enum: ["cat", "dog"] } },
    required: ["name", "age", "kind"],
    additionalProperties: false,
  };
  const completion = await client.chat.completions.create({
    model: MODEL,
    messages: ask("Describe a pet."),
    response_format: { type: "json_schema", json_schema: { name: "pet", strict: true, schema } },
  });
  const pet = JSON.parse(completion.choices[0].message.content);
  assert.equal(typeof pet.name, "string");
  assert.ok(Number.isInteger(pet.age));
  assert.ok(["cat", "dog"].includes(pet.kind));
});

test("embeddings", async () => {
  const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] });
  assert.equal(answer.data.length, 2);
  assert.equal(answer.data[0].embedding.length, 1536);
  assert.ok(Math.abs(Math.hypot(...answer.data[0].embedding) - 1) < 1e-3);
});

test("models are listed", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes(MODEL));
});

test("errors are the SDK's own classes", async () => {
  const create = (model) => client.chat.completions.create({ model, messages: ask("Hi") });
  await assert.rejects(create("gpt-5-tubro"), OpenAI.BadRequestError);
  const stranger = client.withOptions({ apiKey: "ck_" + "w".repeat(48) });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});
