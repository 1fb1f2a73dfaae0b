import { createClient } from "graphql-sse";

import { endless, FAILING, run, url, WHOLE } from "./scenarios.mjs";

const client = createClient({ url: `${url}/graphql`, retryAttempts: 0 });
const query = "subscription ($text: String!) { word(text: $text) }";
const subscribe = (text) => client.iterate({ query, variables: { text } });

async function collect(results) {
    const seen = [];
    for await (const { data, errors } of results) seen.push(data?.word ?? errors[0].message);
    return seen;
}

await run({
    whole: () => collect(subscribe(WHOLE)),
    failing: () => collect(subscribe(FAILING)),
    async aborted() {
        const prompt = endless();
        for await (const result of subscribe(prompt)) break;
        return prompt;
    },
});
