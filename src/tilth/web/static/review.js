// Keys, and answers without a full reload. Everything also works without this script: buttons are forms and links.
"use strict";

const main = document.getElementById("main");
const alarm = document.getElementById("alarm");
let busy = false;

function find(key) {
  return [...document.querySelectorAll("[data-key]")].find((e) => e.dataset.key === key && e.offsetParent !== null);
}

// The new page's main part takes the old one's place; bars that both have move from where they were.
function show(text, url) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const next = fresh.getElementById("main");
  if (!next) throw new Error(text.slice(0, 300));
  const keysOpen = document.getElementById("keys")?.open;
  const before = new Map([...main.querySelectorAll("svg[data-key]")].map((svg) => [svg.dataset.key, svg]));
  const moving = [];
  for (const svg of next.querySelectorAll("svg[data-key]")) {
    const old = before.get(svg.dataset.key);
    if (!old) continue;
    [...svg.children].forEach((shape) => {
      const was = old.querySelector(shape.tagName + "." + shape.classList[shape.classList.length - 1]);
      for (const name of ["x", "width", "cx"]) {
        if (!was || !shape.hasAttribute(name) || was.getAttribute(name) === shape.getAttribute(name)) continue;
        moving.push([shape, name, shape.getAttribute(name)]);
        shape.setAttribute(name, was.getAttribute(name) ?? shape.getAttribute(name));
      }
    });
  }
  main.replaceChildren(...next.childNodes);
  document.title = fresh.title;
  document.body.className = fresh.body.className;
  const keys = document.getElementById("keys");
  if (keys && keysOpen) keys.open = true;
  requestAnimationFrame(() => requestAnimationFrame(() => moving.forEach(([e, n, v]) => e.setAttribute(n, v))));
  if (url !== location.href) history.replaceState(null, "", url);
  window.scrollTo(0, 0);
  const field = main.querySelector("[data-focus]");
  if (field) { field.focus(); field.setSelectionRange(0, 0); field.scrollTop = 0; }
}

async function load(url, options) {
  if (busy) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    const reply = await fetch(url, { ...options, cache: "no-store" });
    const text = await reply.text();
    if (!reply.ok) throw new Error(text.slice(0, 300));
    show(text, reply.url);
    alarm.hidden = true;
  } catch (error) {
    const gone = error instanceof TypeError;
    alarm.textContent = gone
      ? "Not stored: the server does not answer. What you said before is safe. Start it again with the same command, open the address that it prints, and go on with this row."
      : `Not stored: ${error.message}`;
    alarm.hidden = false;
  } finally {
    busy = false;
    document.body.classList.remove("busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  load(form.action, { method: "POST", body });
});

document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a[data-key]");
  if (!anchor || !document.body.classList.contains("review") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  load(anchor.href);
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("textarea, input, select");
  const mod = event.ctrlKey || event.metaKey;
  if (event.altKey || event.isComposing) return;
  if (mod && event.key === "Enter" && typing) {
    find("Mod+Enter")?.click();
    return;
  }
  if (event.key === "Escape" && typing && !typing.closest(".fixing")) { typing.blur(); return; }
  if (mod || event.repeat || (typing && event.key !== "Escape")) return;
  const target = find(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (!target) return;
  event.preventDefault();
  if (target.tagName === "INPUT") { target.focus(); target.select(); return; }
  target.click();
});
