import { DefaultChatTransport, readUIMessageStream } from "ai";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

async function send(text, { abortSignal } = {}) {
    const transport = new DefaultChatTransport({ api: `${url}/chat` });
    const message = { id: "1", role: "user", parts: [{ type: "text", text }] };
    const options = { trigger: "submit-message", chatId: crypto.randomUUID(), messages: [message], abortSignal };
    return transport.sendMessages(options);
}

async function collect(stream) {
    const seen = { texts: [], errors: [] };
    const onError = (error) => seen.errors.push(error.message);
    for await (const message of readUIMessageStream({ stream, onError })) seen.texts.push(textOf(message));
    return seen;
}

const textOf = (message) => message.parts.map((part) => part.text).join("");

await run({
    whole: async () => collect(await send(WHOLE)),
    failing: async () => collect(await send(FAILING)),
    async aborted() {
        const prompt = endless();
        const controller = new AbortController();
        for await (const chunk of await send(prompt, { abortSignal: controller.signal })) {
            if (chunk.type === "text-delta") break;
        }
        controller.abort();
        return prompt;
    },
});
