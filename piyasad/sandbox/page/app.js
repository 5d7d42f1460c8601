// The sandbox's page: reads the world and its events, shows one chat, writes as a person. Nothing here trusts a text.

import { Compose } from "./compose.js";
import { Log, button, element } from "./log.js";

const TYPING_MS = 5000;
const AGAIN_MS = 2000;
const PALETTE = ["#2f8f5b", "#c2453c", "#3a6fd0", "#a8701a", "#7a4fc0", "#0f8a92", "#b23f83", "#5d7a1e"];
const $ = (id) => document.getElementById(id);

let world = { bots: [], chats: [], people: [], reactions: [], header: "" };
let chat = 0;
let early = null; // events that came while the page was loading
const unread = new Map();
const typing = new Map(); // "chat:user" -> { chat, user, until }

const crowd = {
  of: (user) => world.bots.find((each) => each.id === user) ?? world.people.find((each) => each.id === user),
  name: (user) => crowd.of(user)?.name ?? "?",
  colour: (user) => {
    const given = crowd.of(user)?.colour ?? "";
    return /^#[0-9a-f]{6}$/i.test(given) ? given : PALETTE[Math.abs(user) % PALETTE.length];
  },
  handle: (name) => world.bots.some((each) => each.username.toLowerCase() === name.toLowerCase()),
  mine: (line) => !line.bot && line.name === box.name,
  me: () => world.people.find((each) => each.name === box.name)?.id,
};

const box = new Compose(
  Object.fromEntries(["form", "who", "text", "names", "replying", "replyto", "noreply", "failed"].map((id) => [id, $(id)])),
  {
    bots: () => {
      const here = world.chats.find((each) => each.id === chat)?.bots ?? [];
      return world.bots.filter((bot) => here.includes(bot.id));
    },
    say: (what) => tell("/sandbox/say", what, "Mesaj gönderilemedi"),
    renamed: () => log.renamed(),
  },
);

const log = new Log($("log"), $("newer"), crowd, {
  reply: (line) => line && box.reply(line),
  react: (line, emoji) => line && tell("/sandbox/react", { id: line.id, name: box.name, emoji }, "Tepki verilemedi"),
});

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// Posts to the controls; null when it worked, else what to show.
async function tell(path, body, trouble) {
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify({ chat, ...body }) });
    return answer.ok ? null : `${trouble}: ${(await answer.text()).slice(0, 200)}`;
  } catch {
    return `${trouble}: sunucuya ulaşılamıyor.`;
  }
}

// --- what is around the log

function showTyping() {
  const now = Date.now();
  for (const [key, each] of typing) if (each.until < now) typing.delete(key);
  const here = [...typing.values()].filter((each) => each.chat === chat);
  const names = here.map((each) => crowd.name(each.user).replace(/\s*🤖\s*$/u, ""));
  const more = names.length > 3 ? names.splice(2) : [];
  if (more.length) names.push(`${more.length} kişi daha`);
  const last = names.length > 1 ? ` ve ${names.pop()}` : "";
  const text = names.length ? `${names.join(", ")}${last} yazıyor…` : "";
  if ($("typing").textContent !== text) $("typing").textContent = text;
}

function showPinned(id, text) {
  $("pinned").hidden = !id;
  $("pintext").textContent = text ?? "";
  $("pinned").onclick = () => log.show(id);
}

function showChats() {
  $("chats").hidden = world.chats.length < 2;
  $("chats").replaceChildren(
    ...world.chats.map((each) => {
      const made = button("", each.title, null, () => open(each.id));
      made.setAttribute("aria-current", String(each.id === chat));
      if (unread.get(each.id)) {
        const count = element("span", "unread", String(unread.get(each.id)));
        count.setAttribute("aria-label", `${unread.get(each.id)} okunmamış`);
        made.append(" ", count);
      }
      return made;
    }),
  );
}

function showHead() {
  const here = world.chats.find((each) => each.id === chat);
  $("title").textContent = here?.title ?? "Henüz grup yok";
  $("members").textContent = here ? `${here.bots.length} bot` : "";
  $("header").textContent = world.header;
  $("header").hidden = !world.header;
  document.title = `${here?.title ?? "piyasad"} · sandbox`;
  showPinned(here?.pinned, here?.pinned_text);
  showChats();
}

// --- events

const events = {
  message(event) {
    typing.delete(`${event.chat}:${event.user}`);
    if (!event.bot && !crowd.of(event.user)) world.people.push({ id: event.user, name: event.name });
    if (event.chat === chat) return log.add(event);
    unread.set(event.chat, (unread.get(event.chat) ?? 0) + 1);
    showChats();
  },
  edit(event) {
    if (event.chat === chat) log.change(event.id, { text: event.text, edited: true });
  },
  reaction(event) {
    if (!crowd.of(event.user)) world.people.push({ id: event.user, name: event.name });
    const reactions = event.chat === chat && { ...log.lines.get(event.id)?.reactions };
    if (!reactions) return;
    if (event.emoji) reactions[event.user] = event.emoji;
    else delete reactions[event.user];
    log.change(event.id, { reactions });
  },
  pin(event) {
    const there = world.chats.find((each) => each.id === event.chat);
    if (there) Object.assign(there, { pinned: event.id, pinned_text: event.text });
    if (event.chat === chat) showPinned(event.id, event.text);
  },
  typing(event) {
    typing.set(`${event.chat}:${event.user}`, { ...event, until: Date.now() + TYPING_MS });
  },
  profile(event) {
    const bot = world.bots.find((each) => each.id === event.user);
    if (bot && event.name) bot.name = event.name;
  },
};

// Other bots, chats or members: read them anew, once for many changes.
let rereading = 0;
function reread() {
  clearTimeout(rereading);
  rereading = setTimeout(() => load().catch(() => ($("lost").hidden = false)), 200);
}
Object.assign(events, { world: reread, member: reread, moved: reread });

function take(event) {
  if (early) return early.push(event);
  if (Object.hasOwn(events, event.type)) events[event.type](event);
  showTyping();
}

async function load() {
  early = [];
  try {
    world = await ask("/sandbox/world");
    if (!world.chats.some((each) => each.id === chat)) chat = world.chats[0]?.id ?? 0;
    log.offer(world.reactions.slice(0, 6));
    const found = chat ? (await ask(`/sandbox/messages?chat=${chat}&last=300`)).messages : [];
    unread.delete(chat);
    showHead();
    log.load(found);
  } finally {
    const missed = early;
    early = null;
    for (const event of missed) take(event);
  }
}

async function open(id) {
  chat = id;
  box.reply(null);
  await load().catch(() => ($("lost").hidden = false));
  log.toBottom();
}

// Listens, then reads what there is, so that nothing falls between; a lost connection does the same again.
function listen() {
  const stream = new EventSource("/sandbox/events");
  const again = () => {
    stream.close();
    $("lost").hidden = false;
    setTimeout(listen, AGAIN_MS);
  };
  stream.onmessage = (message) => take(JSON.parse(message.data));
  stream.onerror = again;
  stream.onopen = () => load().then(() => ($("lost").hidden = true), again);
}

setInterval(showTyping, 500);
listen();
