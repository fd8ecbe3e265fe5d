// The types of formgate.js, as a page in TypeScript uses them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("the types fit their use, and tell misuse", () => {
  const flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable", "types-in-use.ts"];
  const checked = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", ...flags], { cwd: import.meta.dirname ?? ".", encoding: "utf8" });
  assert.equal(checked.stdout, "");
  assert.equal(checked.status, 0);
});
