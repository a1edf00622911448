"use strict";
const at = (id) => document.getElementById(id);
const gallery = at("gallery"), viewer = at("viewer");
const tiles = [...gallery.children].map((item) => ({ item, ...JSON.parse(item.dataset.image) }));
let shown = tiles, current = null;

// A value such as "name", "area" or "0.dice"; null where the image has none.
function value(tile, key) {
  if (key === "difference") {
    const [first, second] = tile.networks;
    return first.dice === null ? null : second.dice - first.dice;
  }
  const [network, score] = key.split(".");
  return score ? tile.networks[network][score] : tile[key];
}

// Images without the value come last in either order; ties are sorted by name.
function compare(one, other) {
  const names = one.name.localeCompare(other.name, "en", { numeric: true });
  const [a, b] = [value(one, at("sort").value), value(other, at("sort").value)];
  if (at("sort").value === "name") return Number(at("order").value) * names;
  if (a === null || b === null) return (a === null) - (b === null) || names;
  return Number(at("order").value) * (a - b) || names;
}

function update() {
  const text = at("search").value.trim().toLowerCase();
  const [group, list] = [at("group").value, at("list").value];
  shown = tiles.filter(
    (tile) =>
      tile.name.toLowerCase().includes(text) &&
      (!group || tile.group === group) &&
      (!list || value(tile, list))
  );
  gallery.replaceChildren(...shown.sort(compare).map((tile) => tile.item));
  at("count").textContent = shown.length + " of " + tiles.length + " images";
}

function show(tile, network) {
  current = tile;
  const find = (selector) => tile.item.querySelector(selector);
  const image = find("image"), box = find("svg").getAttribute("viewBox");
  const full = at("full"), picture = full.querySelector("image");
  full.setAttribute("viewBox", box);
  full.setAttribute("aria-label", tile.name);
  for (const name of ["href", "width", "height"]) picture.setAttribute(name, image.getAttribute(name));
  const paths = { reference: find("defs > path"), predicted: find(`defs > path[id$="-${network}"]`) };
  for (const path of full.querySelectorAll("[data-path]"))
    path.setAttribute("d", paths[path.dataset.path].getAttribute("d"));
  at("viewer-name").textContent = tile.name;
  at("viewer-about").textContent = find(".about").textContent;
  at("viewer-scores").replaceChildren(find(".scroll").cloneNode(true));
  at("network").value = network;
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const list = shown.includes(current) ? shown : tiles;
  show(list[(list.indexOf(current) + by + list.length) % list.length], at("network").value);
}

for (const id of ["sort", "order", "group", "list"]) at(id).addEventListener("change", update);
at("search").addEventListener("input", update);
at("controls").addEventListener("submit", (event) => event.preventDefault());
gallery.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) show(tiles.find((tile) => tile.item.contains(button)), button.dataset.network);
});
for (const link of document.querySelectorAll(".jump"))
  link.addEventListener("click", (event) => {
    event.preventDefault();
    show(tiles.find((tile) => "#" + tile.item.id === link.hash), at("network").value);
  });

at("network").addEventListener("change", () => show(current, at("network").value));
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
viewer.addEventListener("keydown", (event) => {
  if (event.target.matches("select, input[type=range]")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
function toggle() {
  const { classList, style } = document.documentElement;
  for (const id of ["fill", "predicted", "reference"]) classList.toggle("no-" + id, !at(id).checked);
  style.setProperty("--opacity", at("opacity").value);
}
for (const id of ["fill", "predicted", "reference", "opacity"]) at(id).addEventListener("input", toggle);

at("controls").hidden = false;
toggle();
update();
