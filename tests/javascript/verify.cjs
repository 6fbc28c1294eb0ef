// Reads a JSON list of {secret, headers, body} from standard input, body in base64. Prints for each, by library,
// the payload that it verifies, or null where it refuses.
const libraries = {
  standardwebhooks: require("standardwebhooks").Webhook,
  svix: require("svix").Webhook,
};

const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = asked.map(({ secret, headers, body }) =>
  Object.fromEntries(
    Object.entries(libraries).map(([name, Webhook]) => {
      try {
        return [name, new Webhook(secret).verify(Buffer.from(body, "base64").toString("utf8"), headers)];
      } catch {
        return [name, null];
      }
    }),
  ),
);
process.stdout.write(JSON.stringify(answers));
