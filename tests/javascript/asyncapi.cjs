// Reads an AsyncAPI document from standard input; prints what AsyncAPI's own parser has to say about it.
const { Parser } = require("@asyncapi/parser");

let text = "";
process.stdin.on("data", (chunk) => (text += chunk));
process.stdin.on("end", async () => {
  const found = await new Parser().validate(text);
  console.log(JSON.stringify(found.map(({ severity, code, message, path }) => ({ severity, code, message, path }))));
});
