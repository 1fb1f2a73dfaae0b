import { HttpAgent } from "@ag-ui/client";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

async function answer(content, onWord) {
    const agent = new HttpAgent({
        url: `${url}/ag-ui`,
        threadId: "thread",
        initialMessages: [{ id: "1", role: "user", content }],
    });
    const events = [];
    let error;
    await agent
        .runAgent(
            { runId: "run" },
            {
                onEvent: ({ event }) => void events.push(event.type),
                onRunErrorEvent: ({ event }) => void (error = event),
                onTextMessageContentEvent: () => onWord?.(agent),
            },
        )
        .catch(() => {});
    return { events, error, message: agent.messages.at(-1).content };
}

await run({
    whole: () => answer(WHOLE),
    failing: () => answer(FAILING),
    async aborted() {
        const prompt = endless();
        await answer(prompt, (agent) => agent.abortRun());
        return prompt;
    },
});
