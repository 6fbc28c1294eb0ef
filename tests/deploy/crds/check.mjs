// Reads a JSON array of Kubernetes objects, prints for each the list of what is wrong with it.
// The validators know values, and pass over fields that there aren't; the compiler knows those.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const MODULES = {
  "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
};
const OPTIONS = {
  noEmit: true,
  skipLibCheck: true,
  strict: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
};

const objects = JSON.parse(readFileSync(0, "utf8"));
const folder = mkdtempSync(join(dirname(fileURLToPath(import.meta.url)), "objects-"));
try {
  const files = objects.map((object, at) => {
    const file = join(folder, `object${at}.ts`);
    const type = `import("${MODULES[object.apiVersion]}").I${object.kind}`;
    writeFileSync(file, `export const object: ${type} = ${JSON.stringify(object)};\n`);
    return file;
  });
  const program = ts.createProgram(files, OPTIONS);
  const complaints = files.map((file) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file))
      .map((found) => ts.flattenDiagnosticMessageText(found.messageText, " ")),
  );
  for (const [at, object] of objects.entries()) {
    try {
      const { [object.kind]: Kind } = await import(MODULES[object.apiVersion]);
      new Kind(object).validate();
    } catch (error) {
      complaints[at].push(error.message);
    }
  }
  console.log(JSON.stringify(complaints));
} finally {
  rmSync(folder, { recursive: true });
}
