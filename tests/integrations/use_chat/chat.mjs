// Uses the real useChat as a page does. Arguments: the address of the view, and a JSON list of steps:
// {"say": text}, {"decide": true|false}, {"regenerate": true}, {"stop_after": characters, "say": text}.
// Then headers as JSON, and the packages of the version: "@ai-sdk/react" and "ai", or "react6" and "ai6".
// Prints JSON: for each step the messages, the status and the error.
import { JSDOM } from "jsdom";

const [address, steps] = [process.argv[2], JSON.parse(process.argv[3])];
const dom = new JSDOM("<!doctype html><div id=root></div>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
globalThis.navigator ??= dom.window.navigator;
globalThis.IS_REACT_ACT_ENVIRONMENT = false;

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useChat } = await import(process.argv[5]);
const { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } = await import(process.argv[6]);

let chat;
const transport = new DefaultChatTransport({ api: address, headers: JSON.parse(process.argv[4] || "{}") });
function Chat() {
  chat = useChat({ transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
  return null;
}
createRoot(document.getElementById("root")).render(createElement(Chat));

async function until(condition) {
  const end = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`it never came: ${chat?.status} ${JSON.stringify(chat?.messages)}`);
    await new Promise(done => setTimeout(done, 10));
  }
}
const settled = () => ["ready", "error"].includes(chat.status);
const length = () => chat.messages.at(-1)?.parts.map(part => part.text || "").join("").length || 0;

await until(() => chat);
const seen = [];
for (const step of steps) {
  if (step.decide !== undefined) {
    const part = chat.messages.at(-1).parts.find(part => part.state === "approval-requested");
    await chat.addToolApprovalResponse({ id: part.approval.id, approved: step.decide });
    const open = () => chat.messages.at(-1).parts.some(part => part.state?.startsWith("approval-"));
    await until(() => !open() || chat.status === "error"); // useChat asks by itself
  } else if (step.regenerate) {
    await chat.regenerate();
  } else {
    const sent = chat.sendMessage({ text: step.say });
    if (step.stop_after) {
      await until(() => chat.messages.at(-1)?.role === "assistant" && length() >= step.stop_after);
      await chat.stop();
    }
    await sent;
  }
  await new Promise(done => setTimeout(done, 50));
  await until(settled);
  seen.push({ messages: structuredClone(chat.messages), status: chat.status, error: chat.error?.message ?? null });
}
console.log(JSON.stringify(seen));
process.exit(0);
