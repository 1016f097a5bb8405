// Reads a stream with the client of one version: node read.mjs ai7 < stream. Prints the message as JSON.
const { DefaultChatTransport, readUIMessageStream } = await import(process.argv[2]);
const chunks = [];
for await (const piece of process.stdin) chunks.push(piece);

class Given extends DefaultChatTransport {
  read(body) { return this.processResponseStream(body); }
}
const body = new Response(Buffer.concat(chunks)).body;
let last = null, error = null;
try {
  const stream = new Given({ api: "/" }).read(body);
  for await (const message of readUIMessageStream({ stream, onError: found => { error = String(found); }, terminateOnError: true })) last = message;
} catch (found) { error = String(found?.message ?? found); }
console.log(JSON.stringify({ message: last, error }));
