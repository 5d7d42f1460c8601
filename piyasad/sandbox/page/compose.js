// The box to write in as a person: name, reply, mentions of bots, sending.

import { element } from "./log.js";

const OFFERED = 6;

function fold(text) {
  return text.toLocaleLowerCase("tr").replaceAll("ı", "i").normalize("NFD").replace(/\p{M}/gu, "");
}

function remembered() {
  try {
    return localStorage.getItem("piyasad.name");
  } catch {
    return null; // a private window keeps no name
  }
}

function remember(name) {
  try {
    localStorage.setItem("piyasad.name", name);
  } catch {
    // as above
  }
}

export class Compose {
  // `bots` gives the bots of the chat; `say` sends and resolves to an error's text or null; `renamed` is told a new name.
  constructor(ids, { bots, say, renamed }) {
    Object.assign(this, ids); // form, who, text, names, replying, replyto, noreply, failed
    this.bots = bots;
    this.say = say;
    this.replyTo = null;
    this.chosen = 0;
    this.offered = [];
    this.who.value = remembered() || "Deniz";
    this.who.addEventListener("change", () => {
      if (!this.name) this.who.value = remembered() || "Deniz";
      remember(this.name);
      renamed();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.text.addEventListener("input", () => {
      this.#fit();
      this.chosen = 0;
      this.#offer();
    });
    this.text.addEventListener("keydown", (event) => this.#key(event));
    this.text.addEventListener("blur", () => this.#close());
    this.noreply.addEventListener("click", () => this.reply(null));
  }

  get name() {
    return this.who.value.trim();
  }

  reply(line) {
    this.replyTo = line ? line.id : null;
    this.replying.hidden = !line;
    this.replyto.textContent = line ? `${line.name}: ${line.text.slice(0, 200)}` : "";
    this.text.focus();
  }

  async #send() {
    const text = this.text.value.trim();
    if (!text || !this.name || this.sending) return;
    remember(this.name);
    this.sending = true; // a second Enter while the first is under way sends nothing twice
    const error = await this.say({ name: this.name, text, reply_to: this.replyTo });
    this.sending = false;
    this.failed.textContent = error ?? "";
    this.failed.hidden = !error;
    if (error) return;
    this.text.value = "";
    this.#fit();
    this.#close();
    this.reply(null);
  }

  #fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, 160)}px`;
  }

  #key(event) {
    if (event.isComposing) return;
    const count = this.offered.length;
    const step = { ArrowDown: 1, ArrowUp: count - 1 }[event.key];
    if (count && step !== undefined) {
      event.preventDefault();
      this.chosen = (this.chosen + step) % count;
      this.#offer();
    } else if (count && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      this.#complete(this.offered[this.chosen]);
    } else if (event.key === "Escape") {
      if (count) this.#close();
      else this.reply(null);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#send();
    }
  }

  // The part after an @ just before the caret; null when there is none.
  #part() {
    const before = this.text.value.slice(0, this.text.selectionStart);
    return /(?:^|[\s(])@([\p{L}\p{N}_]*)$/u.exec(before)?.[1] ?? null;
  }

  #offer() {
    const part = this.#part();
    const fits = (bot) => fold(bot.name).includes(fold(part)) || bot.username.toLowerCase().includes(fold(part));
    this.offered = part === null ? [] : this.bots().filter(fits).slice(0, OFFERED);
    this.names.hidden = !this.offered.length;
    this.names.replaceChildren(...this.offered.map((bot, index) => this.#option(bot, index === this.chosen)));
    if (this.offered.length) this.text.setAttribute("aria-activedescendant", `name${this.chosen}`);
    else this.text.removeAttribute("aria-activedescendant");
  }

  #option(bot, selected) {
    const item = element("li", "");
    item.id = `name${this.offered.indexOf(bot)}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(selected));
    item.append(element("b", "", bot.name), " ", element("span", "", `@${bot.username}`));
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the box keeps the focus
      this.#complete(bot);
    });
    return item;
  }

  #complete(bot) {
    const start = this.text.selectionStart - this.#part().length;
    this.text.setRangeText(`${bot.username} `, start, this.text.selectionStart, "end");
    this.#close();
  }

  #close() {
    this.offered = [];
    this.names.hidden = true;
    this.text.removeAttribute("aria-activedescendant");
  }
}
