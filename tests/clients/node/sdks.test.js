// The JavaScript SDKs of Anthropic and Google, OpenAI's Responses, and the Vercel AI SDK; run by test_javascript.py.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { GoogleGenAI } from "@google/genai";
import { generateText, isStepCount, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const url = process.env.HYPEREAL_URL;
const apiKey = process.env.HYPEREAL_API_KEY;
const question = "What is the weather in Paris?";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const anthropic = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const google = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } });
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

for (const model of ["claude-sonnet-4-6", "gpt-5"]) {
  test(`Anthropic's SDK streams, thinks and calls a tool: ${model}`, async () => {
    const tools = [{ name: "get_weather", description: "The weather in a city", input_schema: schema }];
    const messages = [{ role: "user", content: question }];
    const thinking = { type: "enabled", budget_tokens: 1024 };
    const first = await anthropic.messages.stream({ model, max_tokens: 2048, messages, tools, thinking }).finalMessage();
    const call = first.content.find((block) => block.type === "tool_use");
    assert.deepEqual(call.input, { city: "Paris" });
    const result = { type: "tool_result", tool_use_id: call.id, content: "Sunny, 21 degrees" };
    messages.push({ role: "assistant", content: first.content }, { role: "user", content: [result] });
    const second = await anthropic.messages.create({ model, max_tokens: 2048, messages, tools, thinking });
    assert.match(second.content.at(-1).text, /21/);
  });
}

for (const model of ["gemini-3.1-pro", "gpt-5"]) {
  test(`Google's SDK generates, streams and calls a function: ${model}`, async () => {
    const functions = [{ name: "get_weather", description: "The weather in a city", parametersJsonSchema: schema }];
    const config = { tools: [{ functionDeclarations: functions }] };
    const called = await google.models.generateContent({ model, contents: question, config });
    assert.deepEqual(called.functionCalls[0].args, { city: "Paris" });
    let text = "";
    for await (const chunk of await google.models.generateContentStream({ model, contents: "Count to five" })) {
      text += chunk.text ?? "";
    }
    assert.match(text, /5|five/);
  });
}

for (const model of ["gpt-5", "claude-sonnet-4-6"]) {
  test(`OpenAI's SDK streams a response and goes on from it: ${model}`, async () => {
    const first = await openai.responses.stream({ model, input: "My name is Alice." }).finalResponse();
    const second = await openai.responses.create({
      model,
      input: "What is my name?",
      previous_response_id: first.id,
    });
    assert.match(second.output_text, /Alice/);
  });
}

const providers = {
  responses: createOpenAI({ baseURL: `${url}/v1`, apiKey }),
  messages: createAnthropic({ baseURL: `${url}/v1`, apiKey }),
  gemini: createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey }),
  chat: createOpenAICompatible({ name: "hypereal", baseURL: `${url}/v1`, apiKey }),
};
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny, 21 degrees in ${city}`,
});

for (const [format, model] of [
  ["responses", "gpt-5"],
  ["responses", "claude-sonnet-4-6"],
  ["messages", "claude-sonnet-4-6"],
  ["messages", "gpt-5"],
  ["gemini", "gemini-3.1-pro"],
  ["gemini", "claude-sonnet-4-6"],
  ["chat", "deepseek-v3.2"],
  ["chat", "gemini-3.1-pro"],
]) {
  test(`the Vercel AI SDK streams and uses a tool: ${format} ${model}`, async () => {
    const stream = streamText({ model: providers[format](model), prompt: "Count to five", maxRetries: 0 });
    assert.match(await stream.text, /5|five/);
    const done = await generateText({
      model: providers[format](model),
      prompt: question,
      tools: { get_weather: weather },
      stopWhen: isStepCount(3),
      maxRetries: 0,
    });
    assert.match(done.text, /21/);
    assert.ok(done.totalUsage.outputTokens > 0);
  });
}
