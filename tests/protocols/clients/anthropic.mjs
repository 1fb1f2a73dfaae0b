import Anthropic from "@anthropic-ai/sdk";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

const client = new Anthropic({ baseURL: `${url}/anthropic`, apiKey: "none", maxRetries: 0 });
const ask = (content) =>
    client.messages.stream({ model: "words", max_tokens: 100, messages: [{ role: "user", content }] });

await run({
    async whole() {
        const seen = [];
        const stream = ask(WHOLE).on("text", (text) => seen.push(text));
        return { seen, final: (await stream.finalMessage()).content[0].text };
    },
    async failing() {
        const seen = [];
        const stream = ask(FAILING).on("text", (text) => seen.push(text));
        const error = await stream.finalMessage().catch((error) => error);
        return { seen, error: error.error };
    },
    async aborted() {
        const prompt = endless();
        const stream = ask(prompt);
        for await (const event of stream) if (event.type === "content_block_delta") break;
        stream.abort();
        return prompt;
    },
});
