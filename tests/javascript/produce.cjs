// Reads {bootstrap, topic, batches: [{codec, records: [{key, value, headers: [[name, value]]}]}]} from standard input, with
// bytes in base64, and sends each batch with kafkajs, which has no headers without a value: they are left out. Prints how many records the broker has taken.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require("kafkajs");
const lz4 = require("lz4js");
const xxh32 = require("lz4js/xxh32.js");
const snappy = require("kafkajs-snappy");
const zstd = require("@bokuweb/zstd-wasm");

const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = (text) => (text === null ? null : Buffer.from(text, "base64"));

// Kafka takes frames alone that say that their blocks don't depend on each other; these have one block, and don't say so.
function lz4Frame(buffer) {
  const frame = Buffer.from(lz4.compress(buffer));
  frame[4] |= 0x20;
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff;
  return frame;
}

const codec = (compress) => () => ({ compress: async (encoder) => Buffer.from(compress(encoder.buffer)) });

async function main() {
  await zstd.init();
  CompressionCodecs[CompressionTypes.Snappy] = snappy;
  CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Frame);
  CompressionCodecs[CompressionTypes.ZSTD] = codec((buffer) => zstd.compress(buffer, 3));
  const types = {
    none: CompressionTypes.None,
    gzip: CompressionTypes.GZIP,
    snappy: CompressionTypes.Snappy,
    lz4: CompressionTypes.LZ4,
    zstd: CompressionTypes.ZSTD,
  };
  const producer = new Kafka({ brokers: [asked.bootstrap], logLevel: logLevel.ERROR }).producer();
  await producer.connect();
  let taken = 0;
  for (const batch of asked.batches) {
    const messages = batch.records.map(({ key, value, headers }) => ({
      key: bytes(key),
      value: bytes(value),
      headers: Object.fromEntries(headers.filter(([, text]) => text !== null).map(([name, text]) => [name, bytes(text)])),
    }));
    await producer.send({ topic: asked.topic, compression: types[batch.codec], messages });
    taken += messages.length;
  }
  await producer.disconnect();
  process.stdout.write(JSON.stringify(taken));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
