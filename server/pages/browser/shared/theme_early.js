// @ts-check
// Runs before the page is drawn, so that it never shows in the other colours first. A classic script for that reason.
(() => {
  const theme = localStorage.getItem("sinter.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
