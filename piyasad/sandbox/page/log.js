// The log of one chat: at most LINES rows, each an article. Everything that came over the network is set as text.

const LINES = 300;
const GROUPED_SECONDS = 300;
const ZONE = "Europe/Istanbul";
const clock = new Intl.DateTimeFormat("tr-TR", { hour: "2-digit", minute: "2-digit", timeZone: ZONE });
const calendar = new Intl.DateTimeFormat("tr-TR", { day: "numeric", month: "long", weekday: "long", timeZone: ZONE });

export function element(tag, classes, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function button(classes, text, label, pressed) {
  const made = element("button", classes, text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", pressed);
  return made;
}

function initials(name) {
  const words = name.replace(/[^\p{L}\p{N}\s]/gu, "").trim().split(/\s+/);
  return (words[0]?.[0] ?? "?").concat(words[1]?.[0] ?? "").toLocaleUpperCase("tr");
}

function dayOf(line) {
  const day = calendar.format(line.date * 1000);
  if (day === calendar.format(Date.now())) return "Bugün";
  return day === calendar.format(Date.now() - 86_400_000) ? "Dün" : day;
}

export class Log {
  // `crowd` knows names and colours; `reply` and `react` are told what the reader wants.
  constructor(root, newer, crowd, { reply, react }) {
    this.lines = new Map();
    this.root = root;
    this.newer = newer;
    this.crowd = crowd;
    this.react = react;
    this.stuck = true;
    this.unseen = 0;
    this.active = null;
    this.tools = this.#tools(reply, react);
    root.addEventListener("scroll", () => this.#scrolled());
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("pointerover", (event) => event.pointerType === "mouse" && this.#pick(event));
    root.addEventListener("pointerleave", () => root.contains(document.activeElement) || this.#unpick());
    root.addEventListener("focusin", (event) => this.#pick(event));
    root.addEventListener("click", (event) => this.#pick(event));
    newer.addEventListener("click", () => this.toBottom());
    new ResizeObserver(() => this.stuck && this.toBottom()).observe(root);
  }

  // Shows these lines; what is already there stays where the reader left it.
  load(found) {
    const known = found.some((line) => this.lines.get(line.id)?.at === line.at);
    if (known && found.every((line) => !this.lines.has(line.id) || this.lines.get(line.id).at === line.at)) {
      for (const line of found) {
        if (!this.lines.has(line.id)) this.add(line);
        else if (JSON.stringify(this.lines.get(line.id)) !== JSON.stringify(line)) this.change(line.id, line);
      }
      return;
    }
    this.lines = new Map(found.map((line) => [line.id, line]));
    this.draw();
    this.toBottom();
  }

  draw() {
    this.#unpick();
    this.root.setAttribute("aria-busy", "true");
    this.root.replaceChildren();
    let before = null;
    for (const line of this.lines.values()) {
      this.#append(line, before);
      before = line;
    }
    this.root.setAttribute("aria-busy", "false");
    this.#settle();
  }

  add(line) {
    if (this.lines.has(line.id)) return;
    const before = [...this.lines.values()].at(-1) ?? null;
    this.lines.set(line.id, line);
    this.#append(line, before);
    while (this.lines.size > LINES) this.#forget(this.lines.keys().next().value);
    if (this.stuck || this.crowd.mine(line)) return this.toBottom();
    this.unseen += 1;
    this.newer.textContent = `${this.unseen} yeni mesaj ↓`;
    this.newer.hidden = false;
  }

  change(id, what) {
    const line = this.lines.get(id);
    const old = this.#row(id);
    if (!line || !old) return;
    Object.assign(line, what);
    const focused = old.contains(document.activeElement);
    const made = this.#made(line, old.classList.contains("first"));
    made.tabIndex = old.tabIndex;
    old.replaceWith(made);
    if (this.active === old) this.#pick({ target: made });
    if (focused) made.focus();
    this.#settle();
  }

  // The reader goes by another name. Rows stay in place: this may come between a press and its click.
  renamed() {
    for (const line of this.lines.values()) this.#row(line.id)?.classList.toggle("mine", this.crowd.mine(line));
  }

  show(id) {
    const row = this.#row(id);
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    row.classList.remove("flash");
    requestAnimationFrame(() => row.classList.add("flash"));
    setTimeout(() => row.classList.remove("flash"), 1500);
  }

  toBottom() {
    this.stuck = true;
    this.unseen = 0;
    this.newer.hidden = true;
    this.root.scrollTop = this.root.scrollHeight;
  }

  #row(id) {
    return document.getElementById(`m${id}`);
  }

  #settle() {
    if (this.stuck) this.toBottom();
  }

  #scrolled() {
    this.stuck = this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < 60;
    if (this.stuck) {
      this.unseen = 0;
      this.newer.hidden = true;
    }
  }

  #append(line, before) {
    const day = dayOf(line);
    if (!before || dayOf(before) !== day) {
      this.root.append(element("p", "day", day));
      before = null;
    }
    for (const last of this.root.querySelectorAll("article[tabindex='0']")) last.tabIndex = -1;
    const first = !before || before.user !== line.user || line.date - before.date > GROUPED_SECONDS;
    const made = this.#made(line, first);
    made.tabIndex = 0; // one stop for the Tab key: the newest; the arrows reach the others
    this.root.append(made);
  }

  #forget(id) {
    this.lines.delete(id);
    const row = this.#row(id);
    if (row === this.active) this.#unpick();
    row?.remove();
    const [day, next] = this.root.children;
    if (day?.className === "day" && next?.className === "day") day.remove();
    else next?.classList.add("first");
  }

  #made(line, first) {
    const mine = this.crowd.mine(line);
    const row = element("article", `row${first ? " first" : ""}${mine ? " mine" : ""}`);
    row.id = `m${line.id}`;
    row.dataset.id = line.id;
    row.tabIndex = -1;
    row.setAttribute("aria-label", `${line.name}, ${clock.format(line.date * 1000)}`);
    row.style.setProperty("--who", this.crowd.colour(line.user));
    const face = element("span", "face", initials(line.name));
    face.setAttribute("aria-hidden", "true");
    const bubble = element("div", "bubble");
    if (first) bubble.append(element("span", "name", line.name));
    if (line.reply_to) bubble.append(this.#quote(this.lines.get(line.reply_to)));
    bubble.append(this.#text(line));
    if (Object.keys(line.reactions).length) bubble.append(this.#reactions(line));
    row.append(face, bubble);
    return row;
  }

  #text(line) {
    const made = element("p", "text");
    const words = element("span", "words");
    for (const [index, part] of line.text.split(/(@[A-Za-z][A-Za-z0-9_]{3,31})/).entries()) {
      if (index % 2 && this.crowd.handle(part.slice(1))) words.append(element("b", "mention", part));
      else if (part) words.append(part);
    }
    const time = element("time", "", clock.format(line.date * 1000));
    if (line.edited) time.prepend("düzenlendi ");
    time.dateTime = new Date(line.date * 1000).toISOString();
    made.append(words, " ", time);
    return made;
  }

  #quote(line) {
    if (!line) return element("p", "quote gone", "Daha eski bir mesaja yanıt");
    const made = button("quote", undefined, `Yanıtlanan mesaja git: ${line.name}`, () => this.show(line.id));
    made.tabIndex = -1;
    made.style.setProperty("--who", this.crowd.colour(line.user));
    made.append(element("b", "", line.name), element("span", "", line.text.slice(0, 200)));
    return made;
  }

  #reactions(line) {
    const made = element("div", "reactions");
    const counts = new Map();
    for (const [who, emoji] of Object.entries(line.reactions)) {
      counts.set(emoji, [...(counts.get(emoji) ?? []), Number(who)]);
    }
    for (const [emoji, users] of counts) {
      const names = users.map((user) => this.crowd.name(user)).join(", ");
      const own = users.includes(this.crowd.me());
      const mark = button(own ? "own" : "", `${emoji} ${users.length}`, `${emoji} ${users.length}: ${names}`, () =>
        this.react(line, own ? null : emoji),
      );
      mark.title = names;
      mark.tabIndex = -1;
      mark.setAttribute("aria-pressed", String(own));
      made.append(mark);
    }
    return made;
  }

  // One bar of tools for all rows; it sits in the row under the pointer or the focus.
  #tools(reply, react) {
    const bar = element("div", "tools");
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Mesaj işlemleri");
    bar.setAttribute("aria-live", "off");
    const line = () => this.lines.get(Number(this.active?.dataset.id));
    const emojis = element("span", "emojis");
    this.offer = (choices) =>
      emojis.replaceChildren(
        ...choices.map((emoji) => button("", emoji, `Tepki ver: ${emoji}`, () => react(line(), emoji))),
      );
    bar.append(emojis, button("reply", "↩ Yanıtla", "Yanıtla", () => reply(line())));
    return bar;
  }

  #pick(event) {
    const row = event.target.closest("article");
    if (!row || row === this.active) return;
    this.#unpick();
    this.active = row;
    row.classList.add("picked");
    row.querySelector(".bubble").append(this.tools);
  }

  #unpick() {
    this.active?.classList.remove("picked");
    this.tools.remove();
    this.active = null;
  }

  #key(event) {
    const row = event.target.closest("article");
    if (!row || event.target !== row) return;
    const rows = [...this.root.querySelectorAll("article")];
    const at = rows.indexOf(row);
    const next = { ArrowUp: rows[at - 1], ArrowDown: rows[at + 1], Home: rows[0], End: rows.at(-1) }[event.key];
    if (!next) return;
    event.preventDefault();
    row.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
