// What the page does beyond plain links: keys within the tree, zoom and drag, sorting of the table of nodes.
"use strict";
(() => {
  const svg = document.getElementById("tree-svg");
  const articleOf = () => document.querySelector("article.node:target");

  function mark() {
    document.querySelectorAll("a.mark.selected").forEach((a) => a.classList.remove("selected"));
    const article = articleOf();
    if (!article) return;
    const a = document.querySelector(`a.mark[data-node="${article.id.slice(5)}"]`);
    if (a) a.classList.add("selected");
    article.scrollTop = 0;
    article.focus({ preventScroll: true });
    article.querySelectorAll("details.broken pre").forEach((pre) => { pre.scrollTop = pre.scrollHeight; });
  }

  function close() {
    const article = articleOf();
    if (!article) return;
    const [x, y] = [window.scrollX, window.scrollY];
    location.hash = "closed";
    window.scrollTo({ left: x, top: y, behavior: "instant" });
    const a = document.querySelector(`a.mark[data-node="${article.id.slice(5)}"]`);
    if (a) a.focus({ preventScroll: true });
  }

  function go(id) {
    if (id !== "" && document.getElementById(`node-${id}`)) location.hash = `node-${id}`;
  }

  document.addEventListener("keydown", (event) => {
    const article = articleOf();
    if (!article || event.altKey || event.ctrlKey || event.metaKey) return;
    const id = Number(article.id.slice(5));
    const moves = {
      ArrowLeft: () => go(article.dataset.parent),
      ArrowRight: () => go(article.dataset.child),
      ArrowUp: () => go(id - 1),
      ArrowDown: () => go(id + 1),
      Escape: close,
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  });
  document.querySelectorAll("a.close").forEach((a) =>
    a.addEventListener("click", (event) => { event.preventDefault(); close(); }));
  window.addEventListener("hashchange", mark);
  window.addEventListener("load", mark);

  if (svg) zoomable(svg);
  document.querySelectorAll("table.nodes").forEach(sortable);

  function zoomable(svg) {
    const whole = { x: 0, y: 0, w: svg.viewBox.baseVal.width, h: svg.viewBox.baseVal.height };
    let view = { ...whole };

    function show(next) {
      const w = Math.min(whole.w, Math.max(whole.w / 24, next.w));
      const h = (w / whole.w) * whole.h;
      view = {
        w, h,
        x: Math.min(whole.w - w, Math.max(0, next.x)),
        y: Math.min(whole.h - h, Math.max(0, next.y)),
      };
      svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
      svg.classList.toggle("zoomed", w < whole.w);
    }

    function zoom(factor, cx = 0.5, cy = 0.5) {
      const w = Math.min(whole.w, view.w / factor);
      const h = (w / whole.w) * whole.h;
      show({ w, x: view.x + (view.w - w) * cx, y: view.y + (view.h - h) * cy });
    }

    const bar = document.querySelector(".zoom");
    bar.hidden = false;
    bar.addEventListener("click", (event) => {
      const kind = event.target.dataset.zoom;
      if (kind === "fit") show(whole);
      else if (kind) zoom(kind === "in" ? 1.5 : 1 / 1.5);
    });
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = svg.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 300), (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }, { passive: false });

    let drag = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && view.w < whole.w) drag = { x: event.clientX, y: event.clientY, from: { ...view }, moved: false };
    });
    window.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (Math.hypot(dx, dy) < 4 && !drag.moved) return;
      drag.moved = true;
      const scale = view.w / svg.getBoundingClientRect().width;
      show({ w: view.w, x: drag.from.x - dx * scale, y: drag.from.y - dy * scale });
    });
    window.addEventListener("pointerup", () => { setTimeout(() => { drag = null; }); });
    svg.addEventListener("click", (event) => { if (drag && drag.moved) event.preventDefault(); }, true);
    svg.addEventListener("dragstart", (event) => event.preventDefault());
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table.tBodies[0], column, down ? -1 : 1);
      });
    });
  }

  function sort(body, column, sign) {
    const value = (row) => {
      const text = row.cells[column].textContent.trim().replace("$", "");
      const number = Number.parseFloat(text);
      return Number.isNaN(number) ? text : number;
    };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
      return sign * (typeof x === "number" ? x - y : x.localeCompare(y));
    };
    body.append(...[...body.rows].sort(order));
  }
})();
