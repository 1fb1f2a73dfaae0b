import OpenAI from "openai";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

const client = new OpenAI({ baseURL: `${url}/openai`, apiKey: "none", maxRetries: 0 });
const chat = (content, stream = true) =>
    client.chat.completions.create({ model: "words", messages: [{ role: "user", content }], stream });

async function collect(stream, read) {
    const seen = [];
    try {
        for await (const event of stream) seen.push(read(event));
        return { seen };
    } catch (error) {
        return { seen, error: error.constructor.name, type: error.type };
    }
}

const content = (chunk) => chunk.choices[0].delta.content ?? chunk.choices[0].finish_reason;
const delta = (event) => event.delta ?? event.type;

await run({
    chat: async () => collect(await chat(WHOLE), content),
    chatWithoutStream: async () => (await chat(WHOLE, false)).choices[0].message.content,
    chatThatFails: async () => collect(await chat(FAILING), content),
    async chatThatIsAborted() {
        const prompt = endless();
        const stream = await chat(prompt);
        for await (const chunk of stream) break;
        return prompt;
    },
    async response() {
        const stream = client.responses.stream({ model: "words", input: WHOLE });
        return (await stream.finalResponse()).output_text;
    },
    async responseThatFails() {
        return collect(await client.responses.create({ model: "words", input: FAILING, stream: true }), delta);
    },
    async responseThatIsAborted() {
        const prompt = endless();
        const stream = await client.responses.create({ model: "words", input: prompt, stream: true });
        for await (const event of stream) if (event.type === "response.output_text.delta") stream.controller.abort();
        return prompt;
    },
});
