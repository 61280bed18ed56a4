// An HTTP/2 server for tests, over TLS (KEY CERT) or without (no arguments). Prints its port; answers each line of its
// standard input with a line of JSON: what has come so far; ends with it. What a path does is said beside it.
"use strict";
const fs = require("node:fs");
const http2 = require("node:http2");
const readline = require("node:readline");

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR } = http2.constants;
const sessions = new Set();
const seen = { sessions: 0, atOnce: 0, atOnceMost: 0, aborted: 0, sent: 0, counts: {} };

// `size` bytes, as fast as the client takes them.
function pour(stream, size) {
  const piece = Buffer.alloc(65536, "x");
  function more() {
    while (size > 0 && !stream.destroyed) {
      const now = size < piece.length ? piece.subarray(0, size) : piece;
      size -= now.length;
      seen.sent += now.length;
      if (!stream.write(now)) {
        stream.once("drain", more);
        return;
      }
    }
    stream.end();
  }
  more();
}

const answers = {
  // the request as it came, and its body
  "/echo": (stream, query, raw, body) => {
    stream.respond({ ":status": 200, "cache-control": "no-store" });
    stream.end(JSON.stringify({ fields: raw, body }));
  },
  // a moment later
  "/slow": (stream, query) =>
    setTimeout(() => {
      if (stream.destroyed) return;
      stream.respond({ ":status": 200, "cache-control": query.get("cache") ?? "no-store" });
      stream.end("slow");
    }, Number(query.get("ms"))),
  "/hints": (stream) => {
    stream.additionalHeaders({ ":status": 103, link: "</a.css>; rel=preload" });
    stream.respond({ ":status": 200, "cache-control": "no-store" });
    stream.end("hinted");
  },
  "/fields": (stream) => {
    stream.respond({
      ":status": 299, "x-one": ["A  b", "c"], "set-cookie": ["a=1", "b=2"], etag: 'W/"x"', "x-empty": "", "cache-control": "max-age=60",
    });
    stream.end("fields");
  },
  // the first time as said, then an answer
  "/refuse": (stream) => (seen.counts["/refuse"] === 1 ? stream.close(NGHTTP2_REFUSED_STREAM) : ok(stream)),
  "/reset": (stream) => (seen.counts["/reset"] === 1 ? stream.close(NGHTTP2_INTERNAL_ERROR) : ok(stream)),
  "/big": (stream, query) => {
    stream.respond({ ":status": 200, "cache-control": "no-store" });
    pour(stream, Number(query.get("bytes")));
  },
  "/cached": (stream) => {
    stream.respond({ ":status": 200, "cache-control": "max-age=60", etag: '"1"' });
    stream.end("cached");
  },
  "/ok": ok,
};

function ok(stream) {
  stream.respond({ ":status": 200, "cache-control": "no-store" });
  stream.end("ok");
}

function serve(stream, headers, flags, raw) {
  const url = new URL(headers[":path"], "http://origin");
  seen.counts[url.pathname] = (seen.counts[url.pathname] ?? 0) + 1;
  seen.atOnceMost = Math.max(seen.atOnceMost, ++seen.atOnce);
  stream.on("error", () => {});
  stream.on("aborted", () => seen.aborted++);
  stream.on("close", () => seen.atOnce--);
  let body = "";
  const answer = answers[url.pathname] ?? ok;
  const wantsBody = url.pathname === "/echo";
  stream.on("data", (piece) => (body += piece));
  stream.on("end", () => wantsBody && !stream.destroyed && answer(stream, url.searchParams, raw, body));
  if (!wantsBody) answer(stream, url.searchParams, raw, "");
}

const [key, cert, streams] = process.argv.slice(2);
const settings = streams ? { maxConcurrentStreams: Number(streams) } : {};
const server = key
  ? http2.createSecureServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert), settings })
  : http2.createServer({ settings });
server.on("session", (session) => {
  seen.sessions++;
  sessions.add(session);
  session.on("error", () => {});
  session.on("close", () => sessions.delete(session));
});
server.on("sessionError", () => {});
server.on("stream", serve);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
readline
  .createInterface({ input: process.stdin })
  .on("line", () => console.log(JSON.stringify(seen)))
  .on("close", () => process.exit(0));
