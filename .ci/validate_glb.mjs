// Validates the glTF files named on the command line with the Khronos validator; prints every error and warning, and fails if there is one.
// GLTF_VALIDATOR_DIR is a folder with node_modules/gltf-validator.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";

const validator = createRequire(join(resolve(process.env.GLTF_VALIDATOR_DIR ?? "."), "index.js"))("gltf-validator");
let failures = 0;
for (const file of process.argv.slice(2)) {
  const report = await validator.validateBytes(new Uint8Array(readFileSync(file)), { uri: basename(file), maxIssues: 100 });
  for (const issue of report.issues.messages.filter((message) => message.severity < 2)) {
    console.error(`${file}: ${["error", "warning"][issue.severity]} ${issue.code} at ${issue.pointer ?? issue.offset}: ${issue.message}`);
  }
  failures += report.issues.numErrors + report.issues.numWarnings;
}
process.exit(failures > 0 || process.argv.length < 3 ? 1 : 0);
