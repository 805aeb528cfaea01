// Talks to the server: JSON requests, problem documents, and the live stream. The stream is read with fetch
// instead of EventSource, which cannot send the bearer token.

const BASE = new URL("api/v1/", document.baseURI);
const SILENCE_MS = 40_000; // the server says something every 15 s; after this the line is taken for dead
const RETRY_MS = [500, 1000, 2000, 5000, 10_000];

export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `HTTP ${status}`);
    this.status = status;
    this.hint = body?.hint ?? "";
  }
}

let token = sessionStorage.getItem("token") ?? "";
let askToken = async () => "";
let asking = null;

/** Who is asked when the server wants a token: an async function that returns it. */
export function onTokenWanted(ask) {
  askToken = ask;
}

async function send(path, options = {}) {
  for (;;) {
    const headers = { Accept: "application/json", ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(new URL(path, BASE), { ...options, headers });
    if (answer.status !== 401) return answer;
    // Many requests may be refused at once; one question serves them all.
    const refused = token;
    asking ??= askToken(refused !== "").then((given) => {
      token = given;
      sessionStorage.setItem("token", token);
      asking = null;
    });
    await asking;
  }
}

async function body(answer) {
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, data);
  return data;
}

/** The answer to GET api/v1/path?parameters; throws Problem. */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== ""));
  return body(await send(query.size ? `${path}?${query}` : path, { signal }));
}

/** Where api/v1/path is found by a link. */
export function address(path, parameters = {}) {
  return `${new URL(path, BASE)}?${new URLSearchParams(parameters)}`;
}

/** Open what a link leads to in a tab of its own, with the token that a link cannot carry; false: there is no need to. */
export function openSealed(url) {
  if (!token) return false;
  const tab = window.open("", "_blank"); // before waiting, or it counts as one that nobody asked for
  send(url, { headers: { Accept: "text/html" } }).then(async (answer) => {
    const place = URL.createObjectURL(await answer.blob());
    if (tab) tab.location = place;
  }).catch(() => tab?.close());
  return true;
}

/** All items of a list, following `next`, up to `most`. */
export async function list(path, parameters = {}, signal = undefined, most = 20_000) {
  const items = [];
  let cursor;
  do {
    const page = await get(path, { ...parameters, cursor }, signal);
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor && items.length < most);
  return items;
}

/** POST JSON to api/v1/path; throws Problem. */
export async function post(path, data) {
  return body(await send(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) }));
}

/** Follow the live stream for ever. onEvent(name, data); onState("live" | "waiting"), called at each change. */
export async function follow(onEvent, onState) {
  for (let attempt = 0; ; attempt += 1) {
    const abort = new AbortController();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    try {
      alive();
      const answer = await send("live", { signal: abort.signal, headers: { Accept: "text/event-stream" } });
      if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => null));
      onState("live");
      attempt = 0;
      await read(answer.body.getReader(), onEvent, alive);
    } catch {
      // Reported by the state; the next attempt follows.
    }
    clearTimeout(watchdog);
    onState("waiting");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]));
  }
}

async function read(reader, onEvent, alive) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    text += decoder.decode(value, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) deliver(event, onEvent);
  }
}

function deliver(event, onEvent) {
  let name = "message";
  let data = "";
  for (const line of event.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (data) onEvent(name, JSON.parse(data));
}
