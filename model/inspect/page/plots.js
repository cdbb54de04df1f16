// @ts-check
/**
 * Two pictures: every value's place in the arena over the kernels of a run, and every kernel between the roofs of bandwidth and
 * arithmetic.
 *
 * @module
 */
import { byId } from "../../watch/page/dom.js";

/** @param {HTMLCanvasElement} canvas */
function prepare(canvas) {
  const [width, height] = [canvas.clientWidth, Number(canvas.getAttribute("height"))];
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) {
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    canvas.style.height = `${height}px`;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => {
    canvas.style.color = `var(--${name})`;
    return getComputedStyle(canvas).color || style.color;
  };
  context.font = "11px system-ui, sans-serif";
  return { context, width, height, colour };
}

/** @param {HTMLElement} canvas @param {(x: number, y: number) => { parts?: import("./links.js").Parts, text: string } | undefined} find @param {import("./links.js").Links} links */
function listen(canvas, find, links) {
  const tip = byId("tip", HTMLDivElement);
  const at = (/** @type {MouseEvent} */ { clientX, clientY }) => {
    const { left, top } = canvas.getBoundingClientRect();
    return find(clientX - left, clientY - top);
  };
  canvas.addEventListener("pointermove", (event) => {
    const found = at(event);
    tip.hidden = !found;
    links.setHot(found?.parts);
    if (!found) return;
    tip.textContent = found.text;
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    links.setHot(undefined);
  });
  canvas.addEventListener("click", (event) => {
    const found = at(event);
    if (found?.parts) links.pin(found.parts);
  });
}

/** @param {import("./links.js").Links} links */
export function showMemory(links) {
  const { roots, works, memory, nodes } = links.data;
  const canvas = byId("memory", HTMLCanvasElement);
  const mega = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  /** Arenas lie one above the other. @type {Map<number, number>} */
  const base = new Map();
  let top = 0;
  for (const buffer of [...new Set(roots.map(({ buffer }) => buffer))].sort((a, b) => a - b)) {
    base.set(buffer, top);
    top += Math.max(
      ...roots.filter((root) => root.buffer === buffer).map(({ offset, bytes }) => offset + bytes),
    );
  }
  const alive = works.map((_, position) =>
    roots.reduce(
      (sum, { first, last, bytes }) => sum + (first <= position && position <= last ? bytes : 0),
      0,
    )
  );
  const peak = alive.indexOf(Math.max(...alive, 0));
  byId("memory-facts", HTMLParagraphElement).textContent =
    `${mega(memory.peakBytes)} planned in all, ${mega(top)} of it for intermediate ` +
    `values, which would be ${
      mega(memory.naiveBytes - (memory.peakBytes - top))
    } without sharing; most is alive at kernel ${peak}`;
  const place = (/** @type {number} */ width, /** @type {number} */ height) => ({
    x: (/** @type {number} */ position) => position / Math.max(1, works.length) * width,
    y: (/** @type {number} */ offset) => height - offset / Math.max(1, top) * height,
  });
  const draw = () => {
    const { context, width, height, colour } = prepare(canvas);
    const { x, y } = place(width, height);
    const colours = Object.fromEntries(
      ["forward", "backward", "optimizer", "pinned", "hot", "quiet", "line"].map((
        name,
      ) => [name, colour(name)]),
    );
    roots.forEach(({ first, last, buffer, offset, bytes, nodes: [node] }, i) => {
      const from = (base.get(buffer) ?? 0) + offset;
      const phase = node === undefined ? "quiet" : nodes[node].phase;
      const isMarked = links.hot.roots.has(i) || links.pinned.roots.has(i);
      context.globalAlpha = isMarked ? 1 : 0.45;
      context.fillStyle = isMarked ? colours.pinned : colours[phase];
      const [left, right, low] = [x(first), x(last + 1), y(from)];
      context.fillRect(
        left,
        y(from + bytes),
        Math.max(1, right - left - 0.5),
        Math.max(1, low - y(from + bytes) - 0.5),
      );
    });
    context.globalAlpha = 1;
    context.fillStyle = colours.quiet;
    context.fillRect(x(peak), 0, 1, height);
    for (const work of [...links.pinned.works, ...links.hot.works]) {
      context.fillRect(x(work), height - 4, Math.max(2, x(1)), 4);
    }
  };
  listen(canvas, (px, py) => {
    const { x, y } = place(canvas.clientWidth, canvas.clientHeight);
    const i = roots.findIndex(({ first, last, buffer, offset, bytes }) => {
      const from = (base.get(buffer) ?? 0) + offset;
      return px >= x(first) && px < x(last + 1) && py <= y(from) && py > y(from + bytes);
    });
    if (i < 0) return undefined;
    const { name, first, last, bytes, nodes: own } = roots[i];
    const texts = own.slice(0, 3).map((id) => nodes[id].text).join("\n");
    return {
      parts: links.aroundRoot(i),
      text: `${name}: ${mega(bytes)}, alive from kernel ${first} to ${last}\n${texts}`,
    };
  }, links);
  links.watch(draw);
  addEventListener("resize", draw);
  draw();
}

/** @param {import("./links.js").Links} links */
export function showRoofline(links) {
  const { works, ceilings, nodes } = links.data;
  const facts = byId("roofline-facts", HTMLParagraphElement);
  const canvas = byId("roofline", HTMLCanvasElement);
  const timed = works.map((work, i) => ({ ...work, i })).filter(({ ms, flops, bytes }) =>
    ms && flops > 0 && bytes > 0
  );
  if (!ceilings || timed.length === 0) {
    facts.textContent = "nothing was measured: no adapter was open when this page was written";
    canvas.hidden = true;
    return;
  }
  const { bytesPerSecond, flopsPerSecond } = ceilings;
  facts.textContent =
    `each kernel by operations a byte and operations a second; the roofs are the best that was seen: ${
      (bytesPerSecond / 1e9).toFixed(1)
    } GB/s ` +
    `and ${(flopsPerSecond / 1e9).toFixed(1)} Gflop/s on this adapter; size is time`;
  const points = timed.map(({ i, flops, bytes, ms = 1, nodes: [node] }) => (
    {
      i,
      intensity: flops / bytes,
      rate: flops / ms * 1000,
      ms,
      phase: node === undefined ? "quiet" : nodes[node].phase,
    }
  ));
  const range = (
    /** @type {number[]} */ values,
  ) => [Math.log10(Math.min(...values)) - 0.2, Math.log10(Math.max(...values)) + 0.2];
  const [x0, x1] = range([...points.map(({ intensity }) => intensity), flopsPerSecond / bytesPerSecond * 4]);
  const [y0, y1] = range([...points.map(({ rate }) => rate), flopsPerSecond]);
  const most = Math.max(...points.map(({ ms }) => ms));
  const place = (/** @type {number} */ width, /** @type {number} */ height) => ({
    x: (/** @type {number} */ intensity) => 46 + (Math.log10(intensity) - x0) / (x1 - x0) * (width - 56),
    y: (/** @type {number} */ rate) => height - 24 - (Math.log10(rate) - y0) / (y1 - y0) * (height - 34),
  });
  const draw = () => {
    const { context, width, height, colour } = prepare(canvas);
    const { x, y } = place(width, height);
    context.strokeStyle = colour("line");
    context.fillStyle = colour("quiet");
    for (let power = Math.ceil(x0); power <= x1; power++) {
      context.strokeRect(x(10 ** power), 8, 0, height - 32);
      context.fillText(`${10 ** power}`, x(10 ** power) - 6, height - 8);
    }
    for (let power = Math.ceil(y0); power <= y1; power++) {
      context.strokeRect(46, y(10 ** power), width - 56, 0);
      context.fillText(`${10 ** (power - 9)}`, 4, y(10 ** power) + 4);
    }
    context.fillText("Gflop/s", 4, 10);
    context.fillText("operations a byte", width - 110, height - 8);
    context.strokeStyle = colour("text");
    context.beginPath();
    const ridge = flopsPerSecond / bytesPerSecond;
    context.moveTo(x(10 ** x0), y(10 ** x0 * bytesPerSecond));
    context.lineTo(x(ridge), y(flopsPerSecond));
    context.lineTo(x(10 ** x1), y(flopsPerSecond));
    context.stroke();
    const colours = Object.fromEntries(
      ["forward", "backward", "optimizer", "quiet", "pinned"].map((name) => [name, colour(name)]),
    );
    for (const { i, intensity, rate, ms, phase } of points) {
      const isMarked = links.hot.works.has(i) || links.pinned.works.has(i);
      context.globalAlpha = isMarked ? 1 : 0.6;
      context.fillStyle = isMarked ? colours.pinned : colours[phase];
      context.beginPath();
      context.arc(x(intensity), y(rate), 2.5 + 9 * Math.sqrt(ms / most), 0, 7);
      context.fill();
      if (isMarked) context.stroke();
    }
    context.globalAlpha = 1;
  };
  listen(canvas, (px, py) => {
    const { x, y } = place(canvas.clientWidth, canvas.clientHeight);
    const near =
      points.map((point) => ({ ...point, distance: Math.hypot(x(point.intensity) - px, y(point.rate) - py) }))
        .sort((a, b) => a.distance - b.distance)[0];
    if (!near || near.distance > 12) return undefined;
    const { i, rate, ms, intensity } = near;
    const roof = Math.min(flopsPerSecond, intensity * bytesPerSecond);
    return {
      parts: links.aroundWork(i),
      text: `${i} ${works[i].name}\n${ms.toFixed(3)} ms, ${(rate / 1e9).toFixed(1)} Gflop/s, ${
        (100 * rate / roof).toFixed(0)
      } % of the roof above it`,
    };
  }, links);
  links.watch(draw);
  addEventListener("resize", draw);
  draw();
}
