// Makes the policy a component: dist/{{name}}.wasm. A policy imports nothing, so every feature that
// would import something of WASI is off.

import { mkdir, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({
  sourcePath: "policy.js",
  witPath: "wit",
  worldName: "farebox-policy",
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await mkdir("dist", { recursive: true });
await writeFile("dist/{{name}}.wasm", component);
console.log(`dist/{{name}}.wasm: ${component.length} bytes`);
