// What pages do beyond links and forms. Every page works without it.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The server writes times in the zone of the browser until the person chooses one.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `postrider_zone=${zone}; path=/; max-age=31536000; samesite=lax`;

  function announce(text) {
    const live = document.getElementById("live");
    live.textContent = "";
    requestAnimationFrame(() => (live.textContent = text));
  }

  // Copy buttons. The clipboard exists only on https and localhost; elsewhere a selection is copied, or at least selected.
  async function copy(button) {
    const source = button.closest(".copyrow, [data-copy-from]")?.querySelector("code");
    const text = button.dataset.copy || source.textContent;
    let copied = false;
    try {
      await navigator.clipboard.writeText(text);
      copied = true;
    } catch {
      copied = copySelection(text);
    }
    if (!copied && source) getSelection().selectAllChildren(source);
    const { copied: done, select } = document.body.dataset;
    announce(copied ? done : select);
    if (!copied) return;
    const use = button.querySelector("use");
    const icon = use.getAttribute("href");
    use.setAttribute("href", icon.replace(/#.*/, "#check"));
    setTimeout(() => use.setAttribute("href", icon), 2000);
  }

  function copySelection(text) {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "vh";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    if (event.target.closest("[data-print]")) print();
    const closer = event.target.closest("[data-dismiss]");
    if (closer) closer.closest(".toast-box").remove();
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of all("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A message of success becomes a toast, which leaves by itself.
  function float(toast) {
    toast.classList.add("floating");
    setTimeout(() => toast.remove(), 6000);
  }

  // A filter applies as soon as it is chosen; without a script a button applies it.
  document.addEventListener("change", ({ target: { form, name } }) => {
    if (!form?.matches("form.filters")) return;
    // A period and own dates replace each other.
    const { period, from, until, shown } = form.elements;
    if (shown && name === "period") from.value = until.value = "";
    if (shown && (name === "from" || name === "until")) period.value = "own";
    form.requestSubmit();
  });

  // A form is sent once. A page that comes back from the history can send it again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // After a download the page stays, and the file can be asked for again.
    if (form.method !== "post" || "download" in form.dataset) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // Parts that are live ask the server again while somebody looks: hx-trigger="poll from:body".
  setInterval(() => document.visibilityState === "visible" && document.body.dispatchEvent(new Event("poll")), 2000);

  // The page of an error says what to do; a part of a page cannot.
  document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
    if (ctx.sourceElement.matches("form.filters")) location.assign(ctx.request.action);
  });

  function prepare(within) {
    all(".toast-box", within).forEach(float);
    all("[data-print]", within).forEach((item) => (item.hidden = false));
    all("form.filters [data-apply]", within).forEach((button) => (button.hidden = true));
  }
  prepare(document);
  document.addEventListener("htmx:after:swap", () => prepare(document));
})();
