// Runs before the page is shown, so that a dark page never flashes white. The server cannot know the colours of the device.
(() => {
  const page = document.documentElement;
  const device = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => page.dataset.theme === "system" && page.classList.toggle("dark", device.matches);
  follow();
  device.addEventListener("change", follow);
})();
