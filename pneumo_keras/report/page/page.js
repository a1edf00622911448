"use strict";
const [sort, order, group, count, gallery] = ["sort", "order", "group", "count", "gallery"].map(
  (id) => document.getElementById(id)
);
const films = Array.from(gallery.children);

// Null where a film has no such value: it has nothing to find.
function value(film, key) {
  if (key === "name") return film.dataset.name;
  if (key === "difference") {
    const [first, second] = [value(film, "dice-0"), value(film, "dice-1")];
    return first === null || second === null ? null : second - first;
  }
  const text = film.getAttribute("data-" + key);
  return text === null ? null : Number(text);
}

// Films without the value come last in either order; equal ones by name.
function compare(one, other) {
  const [a, b] = [value(one, sort.value), value(other, sort.value)];
  const names = one.dataset.name.localeCompare(other.dataset.name, "en", { numeric: true });
  if (sort.value === "name") return Number(order.value) * names;
  if (a === null || b === null) return (a === null) - (b === null) || names;
  return Number(order.value) * (a - b) || names;
}

function update() {
  const shown = films.filter((film) => !group.value || film.dataset.group === group.value);
  gallery.replaceChildren(...shown.sort(compare));
  count.textContent = shown.length + " of " + films.length + " films";
}

for (const control of [sort, order, group]) control.addEventListener("change", update);
document.getElementById("controls").hidden = false;
update();
