// What a gallery does: a threshold that moves, counts that follow, filters, and a viewer.
// A decision is `score > threshold`, as everywhere else in dualad.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const labelled = data.labels !== null;
  const find = (selector) => document.querySelector(selector);
  const sorted = Float64Array.from(data.scores).sort();
  const [lowest, highest] = [sorted[0], sorted[sorted.length - 1]];
  const LISTED = 200; // wrong images that are named
  const PAD = { left: 14, right: 14, top: 22, bottom: 30 };

  const cards = [...document.querySelectorAll(".cards > li")].map((element) => {
    const position = Number(element.dataset.position);
    return { element, position, score: data.scores[position] };
  });
  const cardAt = new Map(cards.map((card) => [card.position, card]));
  let threshold = data.threshold;

  // ---- decisions ----

  const VERDICTS = {
    found: "Found", missed: "Missed", alarm: "False alarm", passed: "Passed",
    flagged: "Anomalous", unflagged: "Normal",
  };

  function kindOf(position) {
    const flagged = data.scores[position] > threshold;
    if (!labelled) return flagged ? "flagged" : "unflagged";
    if (data.labels[position] === 1) return flagged ? "found" : "missed";
    return flagged ? "alarm" : "passed";
  }

  // The number of scores that are at most `value`: images that are called normal by it.
  function countUpTo(value) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // The shortest decimal number near `value` that decides on all images alike.
  function shortest(value) {
    const below = countUpTo(value);
    for (let digits = 4; digits < 17; digits += 1) {
      const rounded = Number(value.toPrecision(digits));
      if (countUpTo(rounded) === below) return rounded;
    }
    return value;
  }

  // The threshold that calls `count` images normal, in the middle of the gap between two scores.
  function between(count) {
    if (count <= 0) return shortest(axis.value(axis.at(lowest) - 6));
    if (count >= sorted.length) return highest;
    return shortest(sorted[count - 1] / 2 + sorted[count] / 2);
  }

  // ---- numbers ----

  const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "\u2013");
  const written = (value, digits = 5) => String(Number(value.toPrecision(digits)));

  // YAML takes a number with an exponent for a text unless it has a point.
  function asYaml(value) {
    const text = String(value);
    if (!/[.e]/.test(text)) return `${text}.0`;
    return /e/.test(text) && !/\./.test(text) ? text.replace("e", ".0e") : text;
  }

  function show(count, text, value) {
    for (const element of document.querySelectorAll(`[data-count="${count}"]`)) {
      element.textContent = text;
      if (value !== undefined) element.dataset.value = value;
    }
  }

  // Shows what the threshold does, and returns it in words, for those who hear the page.
  function update() {
    let outcome;
    const kinds = data.scores.map((_, position) => kindOf(position));
    const count = (kind) => kinds.reduce((total, other) => total + (other === kind), 0);
    if (labelled) {
      const [found, missed, alarms, passed] = ["found", "missed", "alarm", "passed"].map(count);
      show("found", `${found} of ${found + missed}`, found);
      show("alarms", `${alarms} of ${alarms + passed}`, alarms);
      show("tpr", percent(found, found + missed), found / (found + missed));
      show("fpr", percent(alarms, alarms + passed), alarms / (alarms + passed));
      show("precision", percent(found, found + alarms), found + alarms ? found / (found + alarms) : "");
      outcome = `${found} of ${found + missed} anomalies found, ${alarms} of ${alarms + passed} false alarms`;
      const wrong = missed + alarms;
      show("wrong", wrong === 1 ? "1 wrong image" : `${wrong || "No"} wrong images`, wrong);
      list("alarms", kinds, "alarm", -1);
      list("missed", kinds, "missed", 1);
    } else {
      const flagged = count("flagged");
      show("flagged", `${flagged} of ${kinds.length} (${percent(flagged, kinds.length)})`, flagged);
      outcome = `${flagged} of ${kinds.length} images called anomalous`;
    }
    for (const card of cards) {
      card.kind = kinds[card.position];
      card.element.dataset.kind = card.kind;
      card.element.querySelector("[data-verdict]").textContent = VERDICTS[card.kind];
    }
    find("#value").value = shortest(threshold);
    find("#reset").disabled = threshold === data.threshold;
    const lines = find("#configuration");
    if (lines) lines.textContent = lines.dataset.template.replace(/VALUE(?=\}?$)/, asYaml(threshold));
    set(handle, {
      "aria-valuemin": lowest, "aria-valuemax": highest, "aria-valuenow": threshold,
      "aria-valuetext": `${written(threshold)}: ${outcome}`,
    });
    placeHandle();
    filter();
    return outcome;
  }

  // The wrong images of a kind, the furthest from the threshold first.
  function list(id, kinds, kind, direction) {
    const positions = [...kinds.keys()].filter((position) => kinds[position] === kind);
    positions.sort((a, b) => direction * (data.scores[a] - data.scores[b]));
    const items = positions.slice(0, LISTED).map((position) => {
      const item = document.createElement("li");
      const shown = cardAt.has(position);
      const text = document.createElement(shown ? "a" : "span");
      if (shown) text.href = `#image-${position}`;
      text.textContent = data.names ? data.names[position] : nameOf(position);
      const score = document.createElement("span");
      score.className = "score";
      score.textContent = written(data.scores[position], 4);
      item.append(text, " ", score);
      return item;
    });
    if (positions.length > LISTED) {
      const rest = document.createElement("li");
      rest.textContent = `and ${positions.length - LISTED} more`;
      items.push(rest);
    }
    if (!items.length) {
      const none = document.createElement("li");
      none.textContent = "none";
      items.push(none);
    }
    document.getElementById(id).replaceChildren(...items);
  }

  function nameOf(position) {
    const card = cardAt.get(position);
    return card ? card.element.querySelector(".name").textContent : `row ${position + 1}`;
  }

  // ---- histogram ----

  const SVG = "http://www.w3.org/2000/svg";
  const svg = find("#histogram");
  const handle = find("#handle");
  const axis = { width: 0, at: () => 0, value: () => 0 };

  function set(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  const make = (name, attributes) => set(document.createElementNS(SVG, name), attributes);

  function layOut() {
    const width = svg.clientWidth || 600;
    const height = svg.clientHeight || 260;
    const scale = data.logarithmic ? Math.log : (value) => value;
    const unscale = data.logarithmic ? Math.exp : (value) => value;
    const [low, high] = [Math.min(lowest, data.threshold), Math.max(highest, data.threshold)].map(scale);
    const margin = 0.02 * (high - low) || 1e-6 * Math.abs(high) || 1;
    const [start, end] = [low - margin, high + margin];
    const inner = width - PAD.left - PAD.right;
    Object.assign(axis, {
      width, height,
      at: (value) => PAD.left + (inner * (scale(value) - start)) / (end - start),
      value: (x) => unscale(start + ((end - start) * (x - PAD.left)) / inner),
    });
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawBars();
    drawAxis();
    placeHandle();
  }

  function drawBars() {
    const inner = axis.width - PAD.left - PAD.right;
    const n = Math.min(60, Math.floor(inner / 9));
    const bins = [0, 1].map(() => new Array(n).fill(0));
    data.scores.forEach((score, position) => {
      const bin = Math.floor((n * (axis.at(score) - PAD.left)) / inner);
      bins[labelled ? data.labels[position] : 0][Math.min(Math.max(bin, 0), n - 1)] += 1;
    });
    const most = bins.map((counts) => Math.max(...counts));
    const room = axis.height - PAD.top - PAD.bottom;
    // Heights are roots, so that one image is seen beside a thousand.
    const unit = room / (Math.sqrt(most[0]) + Math.sqrt(most[1]) || 1);
    const base = PAD.top + unit * Math.sqrt(most[0]);
    const bars = bins.flatMap((counts, label) => counts.map((count, bin) => {
      if (!count) return null;
      const height = unit * Math.sqrt(count);
      const bar = make("rect", {
        x: PAD.left + (inner * bin) / n + 0.5,
        y: label ? base + 1 : base - height - 1,
        width: inner / n - 1, height, rx: 1.5,
        class: label ? "anomalous" : "normal",
      });
      if (label) bar.setAttribute("fill", "url(#hatch)");
      const [from, to] = [bin, bin + 1].map((edge) => written(axis.value(PAD.left + (inner * edge) / n), 3));
      const what = labelled ? (label ? "anomalous" : "normal") : "images";
      bar.append(make("title", {}));
      bar.firstChild.textContent = `${count} ${what}, score ${from} to ${to}`;
      return bar;
    })).filter(Boolean);
    bars.push(make("line", { x1: PAD.left, x2: axis.width - PAD.right, y1: base, y2: base, class: "base" }));
    find("#bars").replaceChildren(...bars);
  }

  // Values to label on the axis: 1, 2 and 5 of every decade where it is logarithmic and spans enough
  // of them, multiples of such a value elsewhere.
  function roundValues(low, high, most) {
    const round = (value) => [1, 2, 5, 10].map((digit) => digit * 10 ** Math.floor(Math.log10(value)));
    if (data.logarithmic && high > 10 * low) {
      const decades = Math.ceil(Math.log10(high / low)) + 1;
      const all = [...new Array(decades).keys()].flatMap((i) => round(low * 10 ** i).slice(0, 3));
      return all.filter((value) => value >= low && value <= high);
    }
    const multiples = (step) => {
      const first = Math.ceil(low / step);
      return [...new Array(Math.floor(high / step) - first + 1).keys()].map((i) => (first + i) * step);
    };
    return round((high - low) / most).map(multiples).find((values) => values.length <= most) || [];
  }

  function drawAxis() {
    const [left, right] = [PAD.left, axis.width - PAD.right];
    let free = left;
    const ticks = roundValues(axis.value(left), axis.value(right), Math.max(2, Math.floor(axis.width / 80)))
      .filter((value) => {
        const fits = axis.at(value) - 30 >= free && axis.at(value) + 30 <= right;
        if (fits) free = axis.at(value) + 30;
        return fits;
      })
      .flatMap((value) => {
        const x = axis.at(value);
        const text = make("text", { x, y: axis.height - 8, "text-anchor": "middle" });
        text.textContent = written(value, 3);
        const y = axis.height - PAD.bottom;
        return [make("line", { x1: x, x2: x, y1: y, y2: y + 5, class: "base" }), text];
      });
    find("#axis").replaceChildren(...ticks);
    const chosen = axis.at(data.threshold);
    set(find("#chosen"), { x1: chosen, x2: chosen, y1: PAD.top, y2: axis.height - PAD.bottom });
  }

  function placeHandle() {
    const x = Math.min(Math.max(axis.at(threshold), PAD.left), axis.width - PAD.right);
    const bottom = axis.height - PAD.bottom;
    set(find("#above"), { x, y: PAD.top, width: Math.max(axis.width - PAD.right - x, 0), height: bottom - PAD.top });
    set(handle.querySelector("line"), { x1: x, x2: x, y1: PAD.top, y2: bottom });
    set(handle.querySelector("circle"), { cx: x, cy: PAD.top - 10 });
  }

  // Of the slider a screen reader says where it stands; of other ways to a threshold it is told.
  function moveTo(value, { say = false } = {}) {
    threshold = value;
    const outcome = update();
    find("#said").textContent = say ? outcome : "";
  }

  function drag(event) {
    const x = event.clientX - svg.getBoundingClientRect().left;
    moveTo(shortest(axis.value(Math.min(Math.max(x, PAD.left - 4), axis.width - PAD.right + 4))));
  }

  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    drag(event);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) drag(event);
  });
  handle.addEventListener("keydown", (event) => {
    const steps = {
      ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
      Home: -Infinity, End: Infinity,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    const step = steps[event.key];
    let count = countUpTo(threshold) + step;
    // Equal scores are decided alike: go on to the next score that differs.
    while (count > 0 && count < sorted.length && sorted[count - 1] === sorted[count]) {
      count += Math.sign(step);
    }
    moveTo(between(Math.min(Math.max(count, 0), sorted.length)));
  });
  find("#value").addEventListener("change", (event) => {
    const value = Number(event.target.value);
    if (event.target.value.trim() && Number.isFinite(value)) moveTo(value, { say: true });
    else event.target.value = shortest(threshold);
  });
  find("#reset").addEventListener("click", () => moveTo(data.threshold, { say: true }));

  // ---- filters ----

  const ORDERS = {
    high: (a, b) => b.score - a.score,
    low: (a, b) => a.score - b.score,
    near: (a, b) => Math.abs(a.score - threshold) - Math.abs(b.score - threshold),
  };
  let visible = cards;

  function filter() {
    const kind = find("input[name=kind]:checked").value;
    const defect = find("#defect") ? find("#defect").value : "";
    const matches = (card) =>
      (kind === "all" || card.kind === kind ||
        (kind === "wrong" && (card.kind === "alarm" || card.kind === "missed"))) &&
      (defect === "" || data.defects[card.position] === Number(defect));
    const order = find("#order").value;
    const ordered = [...cards].sort(ORDERS[order]);
    visible = ordered.filter(matches);
    for (const card of cards) card.element.hidden = true;
    for (const card of visible) card.element.hidden = false;
    const container = find(".cards");
    if (ordered.some((card, i) => container.children[i] !== card.element)) {
      container.append(...ordered.map((card) => card.element));
    }
    find("#shown").textContent = `${visible.length} of ${cards.length} images`;
    find("#nothing").hidden = visible.length > 0;
  }

  find(".filters").addEventListener("change", (event) => {
    if (event.target.id === "outlines") {
      document.body.classList.toggle("no-outlines", !event.target.checked);
    } else {
      filter();
    }
  });

  // ---- viewer, and links to an image ----

  const viewer = find("#viewer");

  function linked() {
    const match = /^#image-(\d+)$/.exec(location.hash);
    return match ? cardAt.get(Number(match[1])) : undefined;
  }

  function open() {
    const card = linked();
    if (!card) {
      if (viewer.open) viewer.close();
      return;
    }
    const copy = (selector) => [...card.element.querySelectorAll(selector)].map((e) => e.cloneNode(true));
    find("#viewer-name").textContent = nameOf(card.position);
    find("#viewer-views").replaceChildren(...copy(".view"));
    find("#viewer-facts").replaceChildren(...copy(".verdict, .facts"));
    viewer.dataset.kind = card.kind;
    if (!viewer.open) viewer.showModal();
    const facts = [...viewer.querySelectorAll("#viewer-facts p > *")].map((fact) => fact.textContent);
    find("#viewer-said").textContent = `${nameOf(card.position)}: ${facts.join(", ")}`;
  }

  function step(direction) {
    const at = visible.indexOf(linked());
    const next = visible[at + direction];
    if (!next) return;
    // Not by `location`, which would take the focus out of the viewer.
    history.replaceState(null, "", `#image-${next.position}`);
    open();
  }

  viewer.addEventListener("close", () => {
    const card = linked();
    history.replaceState(null, "", location.pathname + location.search);
    if (card && !card.element.hidden) card.element.querySelector("a").focus();
  });
  viewer.addEventListener("click", (event) => {
    const action = event.target.dataset.action;
    if (action === "close" || event.target === viewer) viewer.close();
    if (action === "previous") step(-1);
    if (action === "next") step(1);
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  window.addEventListener("hashchange", open);

  new ResizeObserver(layOut).observe(svg);
  layOut();
  update();
  open();
})();
