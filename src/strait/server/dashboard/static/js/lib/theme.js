// Dark or light: as the system has it, unless somebody chose.

const ORDER = ["system", "dark", "light"];

export function theme() {
  try {
    return localStorage.getItem("strait-theme") || "system";
  } catch {
    return "system";
  }
}

export function apply(chosen = theme()) {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

/** Go on to the next one, and return it. */
export function cycle() {
  const next = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  try {
    localStorage.setItem("strait-theme", next);
  } catch {
    // It holds for this page then.
  }
  apply(next);
  return next;
}

apply();
