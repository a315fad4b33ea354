// Walks through the turns: buttons, and the arrow keys.
const sections = [...document.querySelectorAll("main > section")];
const nav = document.querySelector("nav");
const place = document.getElementById("place");
let current = sections.length - 1;

function show(number) {
  current = Math.max(0, Math.min(sections.length - 1, number));
  sections.forEach((section, i) => {
    section.classList.toggle("later", i > current);
    section.classList.toggle("current", i === current);
  });
  place.textContent = sections[current].getAttribute("aria-label");
}

nav.hidden = false;
document.getElementById("back").addEventListener("click", () => show(current - 1));
document.getElementById("next").addEventListener("click", () => show(current + 1));
document.getElementById("all").addEventListener("click", () => show(sections.length - 1));
document.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") show(current - 1);
  if (event.key === "ArrowRight") show(current + 1);
});
show(sections.length - 1);
