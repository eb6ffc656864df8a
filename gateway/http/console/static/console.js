// Refreshes the console, and shows its forms in a dialog. Every page works without this script: what
// it fetches are the same pages, of which it takes the parts that it needs.
"use strict";

const EVERY = 2000; // milliseconds
const LATE = 10000; // then what is shown is called old
const TOLD = 15000;

const dialog = document.getElementById("dialog");
const said = document.getElementById("said");
let shown = new Map(); // what the server last sent of each live part
let fresh = Date.now();
let asked = "/console";
let opener = null; // what the dialog was opened by, by its id

function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

async function page(address, options = {}) {
  const signal = AbortSignal.timeout(LATE);
  const answer = await fetch(address, { cache: "no-store", signal, ...options });
  const here = new URL(answer.url).pathname;
  if (here.endsWith("/login")) {
    location.assign(here); // the session is over
    return null;
  }
  const document = parsed(await answer.text());
  return { answer, document, done: answer.redirected };
}

// Puts the live parts of a page in the place of those that are shown, where they differ: what is
// open stays open, and the focus stays where it is.
function refresh(newer) {
  for (const part of newer.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    const text = part.innerHTML;
    if (!old || shown.get(part.id) === text) continue;
    shown.set(part.id, text);
    const open = [...old.querySelectorAll("details[open]")].map((one) => one.id);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const summary = focused?.matches("summary") ? focused.parentElement.id : null;
    old.replaceChildren(...part.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (summary) document.getElementById(summary)?.querySelector("summary").focus();
    else if (focused?.id) document.getElementById(focused.id)?.focus();
  }
  document.title = newer.title;
  fresh = Date.now();
  tell();
}

// Whether what is shown is true now, in words beside the clock.
function tell() {
  const live = document.getElementById("live");
  const old = Date.now() - fresh;
  const state = old > LATE ? "lost" : "on";
  live.textContent = state === "on" ? "Live" : `No answer for ${Math.round(old / 1000)} s`;
  if (live.dataset.liveState !== state && state === "lost") {
    say("The gateway does not answer. What is shown is old.");
  }
  live.dataset.liveState = state;
  document.body.classList.toggle("old", state === "lost");
}

// For a while the page goes on to say what was done.
function told(address) {
  asked = address;
  setTimeout(() => {
    if (asked === address) asked = "/console";
  }, TOLD);
}

function say(words) {
  said.textContent = "";
  said.textContent = words;
}

async function poll() {
  try {
    if (!document.hidden) {
      const newer = await page(asked);
      if (newer?.answer.ok) refresh(newer.document);
    }
  } catch (error) {
    if (!unanswered(error)) throw error;
  }
  tell();
  setTimeout(poll, EVERY);
}

function tick() {
  const clock = document.getElementById("clock");
  const now = new Date().toISOString();
  clock.textContent = now.slice(11, 19);
  clock.dateTime = now;
}

// The dialog.

function unanswered(error) {
  return error instanceof TypeError || error instanceof DOMException;
}

// What is said where something was asked for, and nobody answered.
function failed(error) {
  if (!unanswered(error)) throw error;
  const words = "The gateway does not answer: look whether it was done once it does.";
  say(words);
  if (!dialog.open) return;
  dialog.querySelector(".unanswered")?.remove();
  const problem = document.createElement("p");
  problem.className = "problem unanswered";
  problem.textContent = words;
  dialog.prepend(problem);
}

async function open(address, from) {
  const sheet = await page(address);
  if (!sheet) return;
  opener = from;
  fill(sheet.document);
  if (!dialog.open) dialog.showModal();
  focusFirst();
}

function fill(newer) {
  dialog.replaceChildren(...newer.getElementById("panel").childNodes);
}

function focusFirst() {
  dialog.querySelector("[autofocus]")?.focus();
}

async function send(form, submitter) {
  const fields = new URLSearchParams(new FormData(form, submitter));
  submitter.disabled = true;
  try {
    const sheet = await page(form.action, { method: "POST", body: fields });
    if (!sheet) return;
    if (sheet.done) {
      const words = sheet.document.querySelector(".done")?.textContent ?? "Done";
      dialog.close();
      told(sheet.answer.url);
      refresh(sheet.document);
      say(words);
      (document.getElementById(opener) ?? document.getElementById("main")).focus();
    } else {
      fill(sheet.document);
      if (!dialog.open) dialog.showModal();
      focusFirst();
    }
  } finally {
    submitter.disabled = false;
  }
}

async function preview(form) {
  const fields = new URLSearchParams(new FormData(form));
  fields.set("only", "preview");
  const sheet = await page(form.action, { method: "POST", body: fields });
  const moves = sheet?.document.getElementById("moves");
  if (moves) document.getElementById("moves")?.replaceWith(moves);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.matches("[data-close]") && dialog.contains(link)) {
    event.preventDefault();
    dialog.close();
  } else if (link.matches("[data-dialog]")) {
    event.preventDefault();
    open(link.href, link.id).catch(failed);
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-dialog]")) {
    event.preventDefault();
    open(`${form.action}?${new URLSearchParams(new FormData(form))}`, "another").catch(failed);
  } else if (form.matches("[data-in-dialog], [data-send]")) {
    event.preventDefault();
    if (!dialog.open) opener = event.submitter.id;
    send(form, event.submitter).catch(failed);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-preview]")) preview(event.target.form).catch(failed);
});

dialog.addEventListener("close", () => dialog.replaceChildren());

document.documentElement.classList.add("scripted");
for (const part of document.querySelectorAll("[data-live]")) shown.set(part.id, part.innerHTML);
tell();
tick();
setInterval(tick, 1000);
setInterval(tell, 1000);
setTimeout(poll, EVERY);
