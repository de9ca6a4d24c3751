// Invalidates tags that larder's functions carry: node invalidate.mjs REDIS_URL PREFIX TAG...
// A part of a tag's path is a word; parts are joined by slashes: `users`, `user/7`. Needs `npm install`.
import { readFile } from "node:fs/promises";
import { createClient } from "redis";
import { xxh3 } from "@node-rs/xxhash";

const SCRIPTS = new URL("../../cache-redis/src/scripts/", import.meta.url);
const EVERYTHING = 0x2a2a2a2a6c617264n;

export const tagId = (...parts) => parts.reduce((tag, part) => xxh3.xxh64(String(part), tag), 0x74616700n);

const field = (tag) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(tag);
  return bytes;
};

const escaped = (prefix) =>
  [...Buffer.from(prefix)]
    .map((byte) => [byte, String.fromCharCode(byte)])
    .map(([byte, letter]) => (/[A-Za-z0-9._\/-]/.test(letter) ? letter : "%" + byte.toString(16).toUpperCase().padStart(2, "0")))
    .join("");

export async function invalidate(client, name, tags, database = 0) {
  const prefix = escaped(name);
  const base = `${prefix}:{t:${prefix}}:`;
  const keys = [base + "clock", ...tags.map((tag) => base + (tag % 256n).toString(16).padStart(2, "0"))];
  const settings = ["0", `${prefix}:bus:${database}`, field(EVERYTHING), "500", "node", "1", ""];
  const parts = ["clock.lua", "invalidate.lua"].map((name) => readFile(new URL(name, SCRIPTS), "utf8"));
  const script = (await Promise.all(parts)).join("");
  await client.sendCommand(["EVAL", script, String(keys.length), ...keys, ...settings, ...tags.map(field)]);
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [url, prefix, ...tags] = process.argv.slice(2);
  const client = await createClient({ url }).connect();
  await invalidate(client, prefix, tags.map((tag) => tagId(...tag.split("/"))));
  await client.close();
}
