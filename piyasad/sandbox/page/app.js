// The sandbox's page: reads the world and its events, writes as a person. Everything from the network is text.
"use strict";

const LINES = 300;
const ZONE = "Europe/Istanbul";
const PALETTE = ["#2f8f5b", "#c2453c", "#3a6fd0", "#a8701a", "#7a4fc0", "#0f8a92", "#b23f83", "#5d7a1e"];
const clock = new Intl.DateTimeFormat("tr-TR", { hour: "2-digit", minute: "2-digit", timeZone: ZONE });
const calendar = new Intl.DateTimeFormat("tr-TR", { day: "numeric", month: "long", weekday: "long", timeZone: ZONE });
const $ = (id) => document.getElementById(id);

let world = { bots: [], chats: [], people: [], header: "" };
let chat = 0;
let replyTo = null;
let chosen = 0;
const lines = new Map();
const typing = new Map();

function element(tag, classes, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
}

function colourOf(user) {
  const bot = world.bots.find((each) => each.id === user);
  return (bot && /^#[0-9a-f]{6}$/i.test(bot.colour) && bot.colour) || PALETTE[Math.abs(user) % PALETTE.length];
}

function initials(name) {
  const words = name.replace(/[^\p{L}\s]/gu, "").trim().split(/\s+/);
  return (words[0]?.[0] ?? "?").concat(words[1]?.[0] ?? "").toLocaleUpperCase("tr");
}

function nameOf(user) {
  return [...world.bots, ...world.people].find((each) => each.id === user)?.name ?? "?";
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function tell(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// --- the log

function atBottom() {
  const log = $("log");
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function toBottom() {
  $("log").scrollTop = $("log").scrollHeight;
  $("newer").hidden = true;
}

function draw() {
  const log = $("log");
  log.replaceChildren();
  let before = null;
  for (const line of lines.values()) {
    append(line, before);
    before = line;
  }
  toBottom();
}

function append(line, before) {
  const day = calendar.format(line.date * 1000);
  if (!before || calendar.format(before.date * 1000) !== day) {
    $("log").append(element("li", "day", day));
    before = null;
  }
  $("log").append(row(line, !before || before.user !== line.user || line.date - before.date > 300));
}

function row(line, first) {
  const item = element("li", `row${first ? " first" : ""}${line.bot ? "" : " mine"}`);
  item.id = `m${line.id}`;
  const face = element("div", "face", line.bot ? initials(line.name) : initials(line.name));
  face.setAttribute("aria-hidden", "true");
  face.style.backgroundColor = colourOf(line.user);
  const bubble = element("div", "bubble");
  const name = element("span", "name", line.name);
  name.style.color = colourOf(line.user);
  bubble.append(name);
  if (line.reply_to && lines.has(line.reply_to)) bubble.append(quote(lines.get(line.reply_to)));
  bubble.append(element("p", "text", line.text), meta(line));
  item.append(face, bubble);
  return item;
}

function quote(line) {
  const made = element("button", "quote");
  made.type = "button";
  made.style.borderLeftColor = colourOf(line.user);
  made.append(element("b", "", line.name), element("span", "", line.text));
  made.addEventListener("click", () => show(line.id));
  return made;
}

function meta(line) {
  const made = element("div", "meta");
  const reactions = element("span", "reactions");
  const counts = new Map();
  for (const [who, emoji] of Object.entries(line.reactions)) {
    counts.set(emoji, [...(counts.get(emoji) ?? []), nameOf(Number(who))]);
  }
  for (const [emoji, names] of counts) {
    const mark = element("span", "", names.length > 1 ? `${emoji} ${names.length}` : emoji);
    mark.title = names.join(", ");
    reactions.append(mark);
  }
  const answer = element("button", "answer", "Yanıtla");
  answer.type = "button";
  answer.setAttribute("aria-label", `Yanıtla: ${line.name}`);
  answer.addEventListener("click", () => replyWith(line));
  const time = element("time", "", clock.format(line.date * 1000) + (line.edited ? " (düzenlendi)" : ""));
  time.dateTime = new Date(line.date * 1000).toISOString();
  made.append(reactions, answer, time);
  return made;
}

function show(id) {
  const item = $(`m${id}`);
  if (!item) return;
  item.scrollIntoView({ block: "center" });
  item.classList.add("flash");
  setTimeout(() => item.classList.remove("flash"), 900);
}

function add(line) {
  if (line.chat !== chat || lines.has(line.id)) return;
  const before = [...lines.values()].at(-1) ?? null;
  const stay = !atBottom();
  lines.set(line.id, line);
  append(line, before);
  while (lines.size > LINES) {
    const oldest = lines.keys().next().value;
    lines.delete(oldest);
    $(`m${oldest}`)?.remove();
  }
  if (stay) $("newer").hidden = false;
  else toBottom();
}

function redraw(id) {
  const line = lines.get(id);
  const old = $(`m${id}`);
  if (line && old) old.replaceWith(row(line, old.classList.contains("first")));
}

function pin(id) {
  const line = lines.get(id);
  $("pinned").hidden = !line;
  if (!line) return;
  $("pinned").textContent = `📌 ${line.text}`;
  $("pinned").onclick = () => show(id);
}

function showTyping() {
  const now = Date.now();
  for (const [user, until] of typing) if (until < now) typing.delete(user);
  const names = [...typing.keys()].map((user) => nameOf(user).replace(/\s*🤖/u, ""));
  $("typing").textContent = names.length ? `${names.join(", ")} yazıyor…` : "";
}

// --- events

function take(event) {
  switch (event.type) {
    case "message":
      typing.delete(event.user);
      if (!event.bot && !world.people.some((each) => each.id === event.user)) {
        world.people.push({ id: event.user, name: event.name });
      }
      add(event);
      break;
    case "edit":
      if (event.chat === chat && lines.has(event.id)) {
        Object.assign(lines.get(event.id), { text: event.text, edited: true });
        redraw(event.id);
      }
      break;
    case "reaction":
      if (event.chat === chat && lines.has(event.id)) {
        const reactions = lines.get(event.id).reactions;
        if (event.emoji) reactions[event.user] = event.emoji;
        else delete reactions[event.user];
        redraw(event.id);
      }
      break;
    case "pin":
      if (event.chat === chat) pin(event.id);
      break;
    case "typing":
      if (event.chat === chat) typing.set(event.user, Date.now() + 5000);
      break;
    case "profile": {
      const bot = world.bots.find((each) => each.id === event.user);
      if (bot && event.name) bot.name = event.name;
      break;
    }
  }
  showTyping();
}

function listen() {
  const events = new EventSource("/sandbox/events");
  let lost = false;
  events.onmessage = (message) => take(JSON.parse(message.data));
  events.onerror = () => {
    lost = true;
    $("lost").hidden = false;
  };
  events.onopen = async () => {
    $("lost").hidden = true;
    if (lost) await load();
    lost = false;
  };
}

async function load() {
  world = await ask("/sandbox/world");
  $("header").textContent = world.header;
  if (!world.chats.some((each) => each.id === chat)) chat = world.chats[0]?.id ?? 0;
  const here = world.chats.find((each) => each.id === chat);
  $("title").textContent = here?.title ?? "Piyasa";
  document.title = `${here?.title ?? "Piyasa"} · piyasad sandbox`;
  const tabs = world.chats.length > 1 ? world.chats : [];
  $("chats").replaceChildren(...tabs.map(tab));
  lines.clear();
  typing.clear();
  const found = chat ? (await ask(`/sandbox/messages?chat=${chat}&last=${LINES}`)).messages : [];
  for (const line of found) lines.set(line.id, line);
  draw();
  pin(here?.pinned);
}

function tab(each) {
  const made = element("button", "", each.title);
  made.type = "button";
  made.setAttribute("aria-current", String(each.id === chat));
  made.addEventListener("click", () => {
    chat = each.id;
    load();
  });
  return made;
}

// --- writing

function replyWith(line) {
  replyTo = line ? line.id : null;
  $("replying").hidden = !line;
  $("replyto").textContent = line ? `${line.name}: ${line.text}` : "";
  if (line) $("text").focus();
}

async function send() {
  const text = $("text").value.trim();
  const name = $("who").value.trim();
  if (!text || !name || !chat) return;
  try {
    localStorage.setItem("name", name);
  } catch {
    // a private window keeps no name
  }
  const answer = await tell("/sandbox/say", { chat, name, text, reply_to: replyTo }).catch(() => null);
  if (!answer?.ok) {
    $("lost").hidden = false;
    return;
  }
  $("lost").hidden = true;
  $("text").value = "";
  fit();
  replyWith(null);
  toBottom();
}

function fit() {
  const box = $("text");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, 160)}px`;
}

function wanted() {
  const box = $("text");
  return /(?:^|\s)@([\w\p{L}]*)$/u.exec(box.value.slice(0, box.selectionStart));
}

function offer() {
  const found = wanted();
  const part = found ? found[1].toLocaleLowerCase("tr") : "";
  const here = world.chats.find((each) => each.id === chat)?.bots ?? [];
  const options = found
    ? world.bots.filter(
        (bot) =>
          here.includes(bot.id) &&
          (bot.name.toLocaleLowerCase("tr").includes(part) || bot.username.toLowerCase().includes(part)),
      )
    : [];
  chosen = Math.min(chosen, Math.max(0, options.length - 1));
  $("names").hidden = !options.length;
  $("names").replaceChildren(
    ...options.slice(0, 8).map((bot, index) => {
      const item = element("li", "", `${bot.name}  @${bot.username}`);
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(index === chosen));
      item.dataset.handle = bot.username;
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        complete(bot.username);
      });
      return item;
    }),
  );
}

function complete(handle) {
  const box = $("text");
  const found = wanted();
  if (!found) return;
  const start = box.selectionStart - found[1].length;
  box.setRangeText(`${handle} `, start, box.selectionStart, "end");
  chosen = 0;
  offer();
}

function keys(event) {
  const open = !$("names").hidden;
  const count = $("names").children.length;
  if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
    offer();
  } else if (open && (event.key === "Enter" || event.key === "Tab")) {
    event.preventDefault();
    complete($("names").children[chosen].dataset.handle);
  } else if (event.key === "Escape") {
    if (open) $("names").hidden = true;
    else replyWith(null);
  } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
}

function start() {
  try {
    $("who").value = localStorage.getItem("name") || "Deniz";
  } catch {
    $("who").value = "Deniz";
  }
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("text").addEventListener("input", () => {
    fit();
    offer();
  });
  $("text").addEventListener("keydown", keys);
  $("text").addEventListener("blur", () => ($("names").hidden = true));
  $("noreply").addEventListener("click", () => replyWith(null));
  $("newer").addEventListener("click", toBottom);
  $("log").addEventListener("scroll", () => atBottom() && ($("newer").hidden = true));
  setInterval(showTyping, 1000);
  load().then(listen, () => setTimeout(start, 2000));
}

start();
