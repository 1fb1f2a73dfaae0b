import { fetchEventSource } from "@microsoft/fetch-event-source";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

// The client is made for browsers, and uses two of their globals.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

async function read(text, onWord) {
    const controller = new AbortController();
    const seen = [];
    await fetchEventSource(`${url}/words`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text }),
        signal: controller.signal,
        onmessage(message) {
            seen.push([message.event, JSON.parse(message.data), message.retry]);
            onWord?.(controller);
        },
        onerror(error) {
            throw error; // otherwise, it asks again
        },
    });
    return seen;
}

await run({
    whole: () => read(WHOLE),
    failing: () => read(FAILING),
    async aborted() {
        const prompt = endless();
        await read(prompt, (controller) => controller.abort());
        return prompt;
    },
});
