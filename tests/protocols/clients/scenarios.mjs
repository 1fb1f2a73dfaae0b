// Runs the scenarios of a client at once, and prints what each has seen as JSON.

export const url = process.argv[2];

export const WHOLE = "one pause two";
export const FAILING = "one fail";
export const endless = () => `one forever ${crypto.randomUUID()}`;

export async function run(scenarios) {
    const seen = await Promise.all(Object.values(scenarios).map((scenario) => scenario()));
    const names = Object.keys(scenarios);
    console.log(JSON.stringify(Object.fromEntries(names.map((name, index) => [name, seen[index]]))));
    process.exit(0); // clients may have timers and connections left
}
