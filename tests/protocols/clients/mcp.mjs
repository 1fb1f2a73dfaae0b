import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

async function spell(text, onWord) {
    const client = new Client({ name: "tests", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));
    const seen = [];
    const onprogress = ({ message }) => {
        seen.push(message);
        onWord?.(client);
    };
    try {
        const result = await client.callTool({ name: "spell", arguments: { text } }, undefined, { onprogress });
        return { seen, result: result.content[0].text };
    } catch (error) {
        return { seen, code: error.code, message: error.message };
    }
}

await run({
    whole: () => spell(WHOLE),
    failing: () => spell(FAILING),
    async closed() {
        const text = endless();
        await spell(text, (client) => client.close());
        return text;
    },
});
