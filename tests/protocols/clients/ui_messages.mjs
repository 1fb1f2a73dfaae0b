import { DefaultChatTransport, readUIMessageStream } from "ai";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

const chat = new DefaultChatTransport({ api: `${url}/chat` });
const resumable = new DefaultChatTransport({ api: `${url}/resumable-chat` });

async function send(text, { abortSignal, chatId = crypto.randomUUID(), transport = chat } = {}) {
    const message = { id: "1", role: "user", parts: [{ type: "text", text }] };
    return transport.sendMessages({ trigger: "submit-message", chatId, messages: [message], abortSignal });
}

async function abortAfterOneWord(text, options) {
    const controller = new AbortController();
    const stream = await send(text, { ...options, abortSignal: controller.signal });
    for await (const chunk of stream) if (chunk.type === "text-delta") break;
    controller.abort();
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
        await abortAfterOneWord(prompt);
        return prompt;
    },
    wholeOfResumable: async () => collect(await send(WHOLE, { transport: resumable })),
    failingOfResumable: async () => collect(await send(FAILING, { transport: resumable })),
    async resumed() {
        const chatId = crypto.randomUUID();
        await abortAfterOneWord("one two three forever", { chatId, transport: resumable });
        const stream = await resumable.reconnectToStream({ chatId });
        for await (const message of readUIMessageStream({ stream })) {
            if (textOf(message).endsWith("three ")) return textOf(message);
        }
    },
    async resumedAfterTheEnd() {
        const chatId = crypto.randomUUID();
        await collect(await send("one", { chatId, transport: resumable }));
        return resumable.reconnectToStream({ chatId });
    },
});
